#include "diagnostics/pprof.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace turnkey::diagnostics {

// --- protocol buffers ----------------------------------------------------------------------------------------------

// Seven bits a byte, the lowest first; the eighth says that there are more.
void protobuf::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) data_ += static_cast<char>((value & 0x7f) | 0x80);
  data_ += static_cast<char>(value);
}

// What is 0 is left out: readers take that for granted.
void protobuf::integer(std::uint32_t field, std::uint64_t value) {
  if (value == 0) return;
  varint(std::uint64_t{field} << 3);  // kind 0
  varint(value);
}

void protobuf::bytes(std::uint32_t field, std::string_view value) {
  varint(std::uint64_t{field} << 3 | 2);
  varint(value.size());
  data_ += value;
}

void protobuf::packed(std::uint32_t field, std::span<const std::uint64_t> values) {
  protobuf all;
  for (const std::uint64_t value : values) all.varint(value);
  bytes(field, all.data_);
}

// --- profile.proto: the numbers are its fields' --------------------------------------------------------------------

std::uint64_t pprof::string(std::string_view text) {
  if (const auto found = strings_.find(text); found != strings_.end()) return found->second;
  return strings_.emplace(text, strings_.size()).first->second;
}

protobuf pprof::encode(value_type type) {
  protobuf encoded;
  encoded.integer(1, string(type.type));
  encoded.integer(2, string(type.unit));
  return encoded;
}

void pprof::set_period(value_type type, std::uint64_t period) {
  profile_.message(11, encode(type));
  profile_.integer(12, period);
}

std::uint64_t pprof::add_mapping(std::uint64_t start, std::uint64_t limit, std::uint64_t file_offset,
                                 std::string_view file, std::string_view build_id, bool has_lines) {
  protobuf mapping;
  mapping.integer(1, ++mappings_);
  mapping.integer(2, start);
  mapping.integer(3, limit);
  mapping.integer(4, file_offset);
  mapping.integer(5, string(file));
  mapping.integer(6, string(build_id));
  mapping.integer(7, 1);  // has_functions, has_filenames, has_line_numbers
  mapping.integer(8, has_lines ? 1 : 0);
  mapping.integer(9, has_lines ? 1 : 0);
  profile_.message(3, mapping);
  return mappings_;
}

std::uint64_t pprof::add_function(std::string_view name, std::string_view system_name, std::string_view file) {
  protobuf function;
  function.integer(1, ++functions_);
  function.integer(2, string(name));
  function.integer(3, string(system_name));
  function.integer(4, string(file));
  profile_.message(5, function);
  return functions_;
}

std::uint64_t pprof::add_location(std::uint64_t mapping, std::uint64_t address, std::span<const line> where) {
  protobuf location;
  location.integer(1, ++locations_);
  location.integer(2, mapping);
  location.integer(3, address);
  for (const line& each : where) {
    protobuf source;
    source.integer(1, each.function);
    source.integer(2, each.number);
    location.message(4, source);
  }
  profile_.message(4, location);
  return locations_;
}

void pprof::add_sample(std::span<const std::uint64_t> locations, std::span<const std::uint64_t> values) {
  protobuf sample;
  sample.packed(1, locations);
  sample.packed(2, values);
  profile_.message(2, sample);
}

std::string pprof::finish() {
  std::vector<std::string_view> table(strings_.size());
  for (const auto& [text, index] : strings_) table[index] = text;
  for (const std::string_view text : table) profile_.bytes(6, text);
  return gzip(profile_.data());
}

// --- gzip (RFC 1952) -----------------------------------------------------------------------------------------------

namespace {

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) remainder = (remainder & 1) != 0 ? remainder >> 1 ^ 0xedb88320 : remainder >> 1;
    table[byte] = remainder;
  }
  return table;
}

std::uint32_t crc32(std::string_view content) noexcept {
  static constexpr std::array<std::uint32_t, 256> table = make_crc_table();
  std::uint32_t crc = ~std::uint32_t{0};
  for (const char c : content) crc = table[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ crc >> 8;
  return ~crc;
}

void little_endian(std::string& to, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to += static_cast<char>(value >> (8 * i) & 0xff);
}

}  // namespace

std::string gzip(std::string_view content) {
  constexpr std::size_t longest_block = 0xffff;
  std::string file("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);  // deflate, no name, no time, from no particular system
  std::string_view rest = content;
  do {
    const std::string_view block = rest.substr(0, longest_block);
    rest.remove_prefix(block.size());
    file += rest.empty() ? '\1' : '\0';  // the last one; stored
    little_endian(file, block.size(), 2);
    little_endian(file, ~block.size(), 2);
    file += block;
  } while (!rest.empty());
  little_endian(file, crc32(content), 4);
  little_endian(file, content.size(), 4);
  return file;
}

}  // namespace turnkey::diagnostics
