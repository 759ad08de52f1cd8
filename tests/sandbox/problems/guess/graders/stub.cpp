#include "guess.h"
#include <cstdio>
#include <cstdlib>
static FILE *from_manager = stdin, *to_manager = stdout;
int compare(int x) {
    fprintf(to_manager, "? %d\n", x);
    fflush(to_manager);
    int answer;
    if (fscanf(from_manager, "%d", &answer) != 1) exit(0);
    return answer;
}
int main(int argc, char **argv) {
    if (argc > 2) {
        from_manager = fopen(argv[1], "r");
        to_manager = fopen(argv[2], "w");
    }
    int n;
    if (fscanf(from_manager, "%d", &n) != 1) return 2;
    fprintf(to_manager, "! %d\n", find(n));
    fflush(to_manager);
}
