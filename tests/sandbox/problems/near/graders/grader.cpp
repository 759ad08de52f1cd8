#include "near.h"
#include <cstdio>
int main() {
    int n;
    if (scanf("%d", &n) != 1) return 2;
    std::vector<int> numbers(n);
    for (int &x : numbers)
        if (scanf("%d", &x) != 1) return 2;
    printf("%lld\n", total(numbers));
}
