#include <vector>
long long total(std::vector<int> numbers);
