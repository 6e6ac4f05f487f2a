// W8: a struct is copied, and the mutex in it with it. The easiest one to overlook, in Go as well.
#include <turnkey/mutex.hpp>

struct account {
  turnkey::mutex mu;
  int balance = 100;
};

void print(account copy);

void show(account& original) { print(original); }
