// expect: conversion
#include <turnkey/chan.hpp>

void call(const turnkey::sender<int>& end) {
#ifdef CONTROL
  const turnkey::sender<int> other = end;
#else
  const turnkey::chan<int> other = end;
#endif
  other.send(1);
}
