// Writing a file without the C library's streams: a fatal report may have interrupted one of their calls.
#pragma once

#include <string_view>

namespace turnkey::platform {

// Created, or emptied, and written. Waits for nobody: a pipe without a reader cannot be written. Async-signal-safe.
class output_file {
 public:
  explicit output_file(const char* path) noexcept;
  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;
  ~output_file() { close(); }

  void write(std::string_view content) noexcept;
  // False: something could not be written.
  bool close() noexcept;

  // Whether it could be, now. Creates it, and leaves what it holds.
  static bool can_be_written(const char* path) noexcept;

 private:
  int file_;
  bool is_good_;
};

}  // namespace turnkey::platform
