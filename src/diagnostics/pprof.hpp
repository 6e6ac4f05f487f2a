// A file in pprof's format: profile.proto, gzipped. Written by hand; see docs/decisions/0011.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace turnkey::diagnostics {

// One message of a protocol buffer, as it is built: each field is its number and kind, then its value.
class protobuf {
 public:
  void integer(std::uint32_t field, std::uint64_t value);
  void bytes(std::uint32_t field, std::string_view value);
  void message(std::uint32_t field, const protobuf& value) { bytes(field, value.data_); }
  void packed(std::uint32_t field, std::span<const std::uint64_t> values);
  [[nodiscard]] const std::string& data() const noexcept { return data_; }

 private:
  void varint(std::uint64_t value);
  std::string data_;
};

// A profile, grown sample by sample. The ids of functions and locations are those of what was added before.
class pprof {
 public:
  struct value_type {
    std::string_view type;
    std::string_view unit;
  };
  struct line {
    std::uint64_t function = 0;  // 0: not known
    std::uint64_t number = 0;    // 0: not known
  };

  void add_sample_type(value_type type) { profile_.message(1, encode(type)); }
  // The one that a reader shows unless it is told otherwise; else that is the last one.
  void set_default_sample_type(std::string_view type) { profile_.integer(14, string(type)); }
  void set_period(value_type type, std::uint64_t period);
  void set_time(std::uint64_t nanoseconds_since_1970) { profile_.integer(9, nanoseconds_since_1970); }
  // The one that holds the program goes first. `has_lines`: its locations come with files and lines. A reader is told in
  // any case that they come with functions: those that it finds itself are no better.
  std::uint64_t add_mapping(std::uint64_t start, std::uint64_t limit, std::uint64_t file_offset, std::string_view file,
                            std::string_view build_id, bool has_lines);
  std::uint64_t add_function(std::string_view name, std::string_view system_name, std::string_view file);
  // `mapping` and `address` may be 0. More lines than one: the innermost first, each inlined into the next.
  std::uint64_t add_location(std::uint64_t mapping, std::uint64_t address, std::span<const line> where);
  void add_sample(std::span<const std::uint64_t> locations, std::span<const std::uint64_t> values);
  // All of it, gzipped. Call it once.
  std::string finish();

 private:
  protobuf encode(value_type type);
  std::uint64_t string(std::string_view text);

  protobuf profile_;
  std::map<std::string, std::uint64_t, std::less<>> strings_{{std::string(), 0}};
  std::uint64_t mappings_ = 0;
  std::uint64_t functions_ = 0;
  std::uint64_t locations_ = 0;
};

// A gzip file that holds `content` as it is: in deflate's "stored" blocks.
std::string gzip(std::string_view content);

}  // namespace turnkey::diagnostics
