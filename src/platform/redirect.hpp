// Calls of other modules' functions, by name, sent elsewhere: for what must be known of a program that was not built for it.
#pragma once

#include <span>

namespace turnkey::platform {

struct redirection {
  const char* name;
  void* to;  // the function that is called in its place
};

// In every module that is loaded now, the program first: the slots through which it calls those functions (or has their
// addresses) are made to point elsewhere. Returns how many. A function that is in the program itself, as in one that is
// linked statically or with a sanitizer's own version of it, is called without a slot, and stays as it is.
// What is called instead finds the original with dlsym(). Before other threads are there: for a moment pages that are to be
// read-only can be written.
int redirect_calls(std::span<const redirection> all) noexcept;

}  // namespace turnkey::platform
