#include "relay.h"
#include <cstdio>
#include <cstdlib>
int main(int argc, char **argv) {
    FILE *in = stdin, *out = stdout;
    if (argc > 3) {
        in = fopen(argv[1], "r");
        out = fopen(argv[2], "w");
    }
    int x;
    while (fscanf(in, "%d", &x) == 1) {
        fprintf(out, "%d\n", atoi(argv[argc - 1]) == 0 ? say(x) : hear(x));
        fflush(out);
    }
}
