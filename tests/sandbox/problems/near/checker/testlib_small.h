#include <cstdio>
#include <cstdlib>
inline double number(const char *path) {
    FILE *file = fopen(path, "r");
    double value;
    if (!file || fscanf(file, "%lf", &value) != 1) return -1e300;
    return value;
}
