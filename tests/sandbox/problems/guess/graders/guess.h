int find(int n);      // to be implemented: the secret number, from 1 to n
int compare(int x);   // -1: the secret is below x, 0: it is x, 1: it is above
