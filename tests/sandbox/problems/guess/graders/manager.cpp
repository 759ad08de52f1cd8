// manager FROM TO [MOST]: input is N and the secret; prints the score, and says why on stderr.
#include <cstdio>
#include <cstdlib>
int finish(double score, const char *words) {
    printf("%g\n", score);
    fprintf(stderr, "%s\n", words);
    exit(0);
}
int main(int argc, char **argv) {
    int n, secret, most = argc > 3 ? atoi(argv[3]) : 30;
    if (scanf("%d %d", &n, &secret) != 2) return 2;
    FILE *to = fopen(argv[2], "w"), *from = fopen(argv[1], "r");
    fprintf(to, "%d\n", n);
    fflush(to);
    for (int asked = 0;;) {
        char kind;
        int x;
        if (fscanf(from, " %c %d", &kind, &x) != 2) finish(0, "wrong protocol");
        if (kind == '!') finish(x != secret ? 0 : asked <= most ? 1 : 0.25, x == secret ? "found" : "not found");
        if (++asked > 1000) finish(0, "too many questions");
        fprintf(to, "%d\n", secret < x ? -1 : secret > x);
        fflush(to);
    }
}
