// Names of functions as people write them, from the Itanium C++ ABI's mangled ones. The C++ library has this, but only
// with allocation, and a report must not allocate.
//
// A recursive descent that prints as it reads. What the ABI calls a substitution - "the third type of this name, again"
// - is kept as the place where it was read, and is read again. What it leaves out: return types, ABI tags, the
// parameters of lambdas, and expressions but the simplest; with these, the parameters become "(...)".
//
// Here: characters, functions and their names. Templates and types, which names and functions consist of in their turn, are in
// demangle_types.cpp.
#include <cstring>

#include "platform/demangler.hpp"
#include "platform/symbol.hpp"

namespace turnkey::platform {

namespace {

constexpr demangler::spelling operators[] = {
    {"nw", " new"}, {"na", " new[]"}, {"dl", " delete"}, {"da", " delete[]"}, {"aw", " co_await"}, {"ps", "+"},
    {"ng", "-"},    {"ad", "&"},      {"de", "*"},       {"co", "~"},         {"pl", "+"},         {"mi", "-"},
    {"ml", "*"},    {"dv", "/"},      {"rm", "%"},       {"an", "&"},         {"or", "|"},         {"eo", "^"},
    {"aS", "="},    {"pL", "+="},     {"mI", "-="},      {"mL", "*="},        {"dV", "/="},        {"rM", "%="},
    {"aN", "&="},   {"oR", "|="},     {"eO", "^="},      {"ls", "<<"},        {"rs", ">>"},        {"lS", "<<="},
    {"rS", ">>="},  {"eq", "=="},     {"ne", "!="},      {"lt", "<"},         {"gt", ">"},         {"le", "<="},
    {"ge", ">="},   {"ss", "<=>"},    {"nt", "!"},       {"aa", "&&"},        {"oo", "||"},        {"pp", "++"},
    {"mm", "--"},   {"cm", ","},      {"pm", "->*"},     {"pt", "->"},        {"cl", "()"},        {"ix", "[]"},
};

}  // namespace

bool demangler::run() noexcept {
  if (!take("_Z")) return false;
  encoding();
  return is_good_;
}

// --- reading and writing -------------------------------------------------------------------------------------------

bool demangler::may_go_on() noexcept {
  constexpr int most_steps = 20'000;
  if (++steps_ > most_steps || depth_ > 80) fail();
  return is_good_;
}

void demangler::put(std::string_view piece) noexcept {
  if (mute_ != 0 || piece.empty()) return;
  if (piece.size() > sizeof out_ - size_) return fail();
  std::memcpy(out_ + size_, piece.data(), piece.size());
  size_ += piece.size();
}

void demangler::drop_comma() noexcept {
  if (mute_ == 0 && ends_with(", ")) size_ -= 2;
}

std::size_t demangler::number() noexcept {
  std::size_t value = 0;
  if (!is_digit(peek())) fail();
  while (is_digit(peek())) {
    value = value * 10 + static_cast<std::size_t>(in_[at_++] - '0');
    if (value > in_.size() * 64) fail();
    if (!is_good_) return 0;
  }
  return value;
}

std::size_t demangler::index(std::size_t base) noexcept {
  if (take("_")) return 0;
  std::size_t value = 0;
  while (is_good_ && !take("_")) {
    const char c = peek();
    std::size_t digit = 0;
    if (is_digit(c)) {
      digit = static_cast<std::size_t>(c - '0');
    } else if (base == 36 && 'A' <= c && c <= 'Z') {
      digit = static_cast<std::size_t>(c - 'A') + 10;
    } else {
      fail();
    }
    value = value * base + digit;
    if (value > 10'000) fail();
    if (is_good_) ++at_;
  }
  return value + 1;
}

void demangler::put_number(std::size_t value) noexcept {
  char digits[20];
  std::size_t at = sizeof digits;
  do {
    digits[--at] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  put({digits + at, sizeof digits - at});
}

void demangler::remember(std::size_t from, std::size_t until) noexcept {
  if (is_again_ != 0) return;
  if (part_count_ == sizeof parts_ / sizeof *parts_) return fail();
  parts_[part_count_++] = {from, until};
}

// --- functions -----------------------------------------------------------------------------------------------------

void demangler::encoding() noexcept {
  ++depth_;
  if (may_go_on()) {
    if (take("Th") || take("Tv")) {  // a thunk: call offset, then the function
      while (peek() != '\0' && peek() != '_') ++at_;
      take("_");
      encoding();
    } else {
      function();
    }
  }
  --depth_;
}

void demangler::function() noexcept {
  const arguments outer = arguments_;
  const int in_type = in_type_;
  arguments_.count = 0;
  in_type_ = 0;
  qualifiers of_this;
  has_return_type_ = false;
  name(of_this);
  const bool has_return_type = has_return_type_;
  if (is_good_ && !is_at_end()) {
    const std::size_t end_of_name = size_;
    put("(");
    if (has_return_type) {
      ++mute_;
      type(nullptr);
      --mute_;
    }
    parameters();
    put(")");
    if (!is_good_ && depth_ == 1 && end_of_name + 5 < sizeof out_) {
      // The name is what matters most.
      is_good_ = true;
      size_ = end_of_name;
      mute_ = 0;
      put("(...)");
      at_ = in_.size();
    }
    if (of_this.is_const) put(" const");
    if (of_this.is_volatile) put(" volatile");
    if (of_this.reference == 'R') put(" &");
    if (of_this.reference == 'O') put(" &&");
  }
  arguments_ = outer;
  in_type_ = in_type;
}

void demangler::parameters() noexcept {
  if (peek() == 'v' && (peek(1) == '\0' || peek(1) == 'E' || peek(1) == '.')) {
    ++at_;
    return;
  }
  for (bool is_first = true; is_good_ && !is_at_end(); is_first = false) {
    if (!is_first) put(", ");
    type(nullptr);
  }
}

// --- names ---------------------------------------------------------------------------------------------------------

void demangler::name(qualifiers& of_this) noexcept {
  if (peek() == 'N') return nested_name(of_this);
  if (peek() == 'Z') return local_name(of_this);
  const std::size_t from = at_;
  if (peek() == 'S' && peek(1) != 't') {
    substitution(nullptr);
  } else {
    if (take("St")) put("std::");
    unqualified_name();
    if (peek() == 'I') remember(from, at_);
  }
  if (peek() == 'I') {
    template_arguments();
    has_return_type_ = !is_special_;
  }
}

void demangler::nested_name(qualifiers& of_this) noexcept {
  take("N");
  for (;;) {
    if (take("K")) {
      of_this.is_const = true;
    } else if (take("V")) {
      of_this.is_volatile = true;
    } else if (!take("r")) {
      break;
    }
  }
  if (peek() == 'R' || peek() == 'O') of_this.reference = in_[at_++];
  components(in_.size());
  if (!take("E")) fail();
}

void demangler::components(std::size_t until) noexcept {
  const std::size_t from = at_;
  bool is_first = true;
  while (may_go_on() && peek() != 'E' && at_ < until) {
    has_return_type_ = false;
    bool is_new = true;
    if (peek() == 'I') {
      template_arguments();
      has_return_type_ = !is_special_;
    } else {
      if (!is_first) put("::");
      if (peek() == 'S' && peek(1) != 't') {
        substitution(nullptr);
        is_new = false;
      } else if (take("St")) {
        put("std");
        is_new = false;
      } else if (peek() == 'T') {
        template_parameter(nullptr);
      } else {
        unqualified_name();
      }
    }
    is_first = false;
    if (is_new && peek() != 'E' && at_ < until) remember(from, at_);
  }
}

void demangler::local_name(qualifiers& of_this) noexcept {
  take("Z");
  encoding();
  if (!take("E")) return fail();
  put("::");
  if (take("s")) {
    put("string literal");
  } else {
    if (take("d")) index(10);
    name(of_this);
  }
  // Which of several of that name: "_2" or "__12_".
  if (take("__")) {
    number();
    take("_");
  } else if (peek() == '_' && is_digit(peek(1))) {
    at_ += 2;
  }
}

void demangler::unqualified_name() noexcept {
  is_special_ = false;
  take("L");  // internal linkage
  const char c = peek();
  if (is_digit(c)) {
    source_name();
  } else if (c == 'C' && is_digit(peek(1))) {
    at_ += 2;
    is_special_ = true;
    put(last_name_);
  } else if (c == 'C' && peek(1) == 'I' && is_digit(peek(2))) {  // inherited, and from where
    at_ += 3;
    const std::string_view last = last_name_;
    type_unseen();
    last_name_ = last;
    is_special_ = true;
    put(last_name_);
  } else if (c == 'D' && is_digit(peek(1))) {
    at_ += 2;
    is_special_ = true;
    put("~");
    put(last_name_);
  } else if (c == 'U' && peek(1) == 'l') {
    lambda();
  } else if (take("Ut")) {
    put("{unnamed type#");
    put_number(index(10) + 1);
    put("}");
  } else {
    operator_name();
  }
  while (take("B")) {
    ++mute_;
    source_name();
    --mute_;
  }
}

void demangler::source_name() noexcept {
  const std::size_t size = number();
  if (!is_good_ || size == 0 || size > in_.size() - at_) return fail();
  last_name_ = in_.substr(at_, size);
  at_ += size;
  if (last_name_.starts_with("_GLOBAL__N")) last_name_ = "(anonymous namespace)";
  put(last_name_);
}

void demangler::lambda() noexcept {
  take("Ul");
  ++mute_;
  ++in_lambda_;
  parameters();
  --in_lambda_;
  --mute_;
  if (!take("E")) return fail();
  put("{lambda#");
  put_number(index(10) + 1);
  put("}");
}

void demangler::operator_name() noexcept {
  if (take("cv")) {
    put("operator ");
    ++in_lambda_;  // what T_ stands for comes later
    type(nullptr);
    --in_lambda_;
    is_special_ = true;
    return;
  }
  if (take("li")) {
    put("operator\"\" ");
    return source_name();
  }
  for (const spelling& known : operators) {
    if (take(known.code)) {
      put("operator");
      return put(known.name);
    }
  }
  fail();
}

// -------------------------------------------------------------------------------------------------------------------

void demangle(text& to, const char* name) noexcept {
  demangler reader{std::string_view(name)};
  to << (reader.run() ? reader.result() : std::string_view(name));
}

}  // namespace turnkey::platform
