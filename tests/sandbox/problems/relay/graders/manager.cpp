// manager FROM0 TO0 FROM1 TO1: input is numbers; prints which part of them came through.
#include <cstdio>
int main(int, char **argv) {
    FILE *from[2], *to[2];
    for (int i = 0; i < 2; ++i) {
        to[i] = fopen(argv[2 + 2 * i], "w");
        from[i] = fopen(argv[1 + 2 * i], "r");
    }
    int number, all = 0, right = 0;
    while (scanf("%d", &number) == 1) {
        int x = number;
        for (int i = 0; i < 2; ++i) {
            fprintf(to[i], "%d\n", x);
            fflush(to[i]);
            if (fscanf(from[i], "%d", &x) != 1 || x < 0 || x > 255) {
                printf("0\n");
                fprintf(stderr, "process %d said no byte\n", i);
                return 0;
            }
        }
        ++all;
        right += x == number;
    }
    printf("%g\n", double(right) / all);
    fprintf(stderr, "%d of %d\n", right, all);
}
