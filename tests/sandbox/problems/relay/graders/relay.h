int say(int number);   // process 0: the byte for a number from 0 to 200
int hear(int byte);    // process 1: the number
