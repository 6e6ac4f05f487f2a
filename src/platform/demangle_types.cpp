// Templates and types in mangled names, the larger half of what demangle.cpp begins. A type is written from the inside out:
// what is around it - "pointer to", "const" - is read first and put behind it, or, around a function or an array, into its middle.
#include "platform/demangler.hpp"

namespace turnkey::platform {

namespace {

constexpr demangler::spelling plain_types[] = {
    {"v", "void"},
    {"w", "wchar_t"},
    {"b", "bool"},
    {"c", "char"},
    {"a", "signed char"},
    {"h", "unsigned char"},
    {"s", "short"},
    {"t", "unsigned short"},
    {"i", "int"},
    {"j", "unsigned int"},
    {"l", "long"},
    {"m", "unsigned long"},
    {"x", "long long"},
    {"y", "unsigned long long"},
    {"n", "__int128"},
    {"o", "unsigned __int128"},
    {"f", "float"},
    {"d", "double"},
    {"e", "long double"},
    {"g", "__float128"},
    {"z", "..."},
    {"Di", "char32_t"},
    {"Ds", "char16_t"},
    {"Du", "char8_t"},
    {"Da", "auto"},
    {"Dc", "decltype(auto)"},
    {"Dn", "std::nullptr_t"},
};

constexpr demangler::spelling standard_names[] = {
    {"Sa", "std::allocator"}, {"Sb", "std::basic_string"}, {"Ss", "std::string"},
    {"Si", "std::istream"},   {"So", "std::ostream"},      {"Sd", "std::iostream"},
};

constexpr std::string_view long_string =
    "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";
constexpr std::string_view short_string = "std::string";

}  // namespace

// --- templates -----------------------------------------------------------------------------------------------------

void demangler::template_arguments() noexcept {
  take("I");
  arguments found;
  if (ends_with("<")) put(" ");  // an operator
  put("<");
  const std::string_view name_before = last_name_;
  for (bool is_first = true; may_go_on() && peek() != 'E'; is_first = false) {
    if (!is_first) put(", ");
    if (found.count < arguments::most) found.at[found.count++] = at_;
    template_argument();
  }
  last_name_ = name_before;
  drop_comma();
  if (ends_with(">")) put(" ");
  put(">");
  if (!take("E")) fail();
  if (mute_ == 0 && ends_with(long_string)) {
    size_ -= long_string.size();
    put(short_string);
  }
  // Those of a function's own name are what its parameters refer to.
  if (in_type_ == 0) arguments_ = found;
}

void demangler::template_argument() noexcept {
  ++in_type_;
  if (take("J") || take("I")) {
    for (bool is_first = true; may_go_on() && peek() != 'E'; is_first = false) {
      if (!is_first) put(", ");
      template_argument();
    }
    take("E");
  } else if (peek() == 'L') {
    literal();
  } else if (take("XadL")) {
    at_ -= 1;
    put("&");
    literal();
    if (!take("E")) fail();
  } else if (peek() == 'X' && peek(1) == 'T') {
    ++at_;
    template_parameter(nullptr);
    if (!take("E")) fail();
  } else if (peek() == 'X') {
    fail();
  } else {
    type(nullptr);
  }
  --in_type_;
}

void demangler::literal() noexcept {
  take("L");
  if (take("_Z")) {
    encoding();
  } else if (take("b0") || take("b1")) {
    put(in_[at_ - 1] == '1' ? "true" : "false");
  } else if (take("Dn")) {
    take("0");
    put("nullptr");
  } else {
    constexpr std::string_view integers = "ijlmxysthc";
    if (integers.find(peek()) != std::string_view::npos) {
      ++at_;
    } else {
      put("(");
      type(nullptr);
      put(")");
    }
    if (take("n")) put("-");
    const std::size_t from = at_;
    while (peek() != '\0' && peek() != 'E') ++at_;
    put(in_.substr(from, at_ - from));
  }
  if (!take("E")) fail();
}

void demangler::template_parameter(const modifier* around) noexcept {
  take("T");
  const std::size_t which = index(10);
  if (in_lambda_ != 0) {
    put("auto");
    return put_modifiers(around);
  }
  if (!is_good_ || which >= arguments_.count) return fail();
  std::size_t from = arguments_.at[which];
  if (in_[from] == 'J' || in_[from] == 'I') {  // a pack: within an expansion one of them, else all
    if (expansion_ == no_expansion) return again(from, 0, around);
    std::size_t skipped = 0;
    from = pack_element(from, skipped);
    pack_size_ = skipped;
    if (from == 0) return;
  }
  again(from, 0, around);
}

std::size_t demangler::pack_element(std::size_t pack, std::size_t& size) noexcept {
  const std::size_t before = at_;
  std::size_t found = 0;
  at_ = pack + 1;
  ++mute_;
  ++is_again_;
  const std::size_t wanted = expansion_;
  expansion_ = no_expansion;
  for (size = 0; may_go_on() && peek() != 'E'; ++size) {
    if (size == wanted) found = at_;
    template_argument();
  }
  expansion_ = wanted;
  --is_again_;
  --mute_;
  at_ = before;
  return found;
}

void demangler::expansion() noexcept {
  const std::size_t from = at_;
  const std::size_t outer = expansion_;
  // Once unseen, to learn how many there are.
  ++mute_;
  expansion_ = 0;
  pack_size_ = no_expansion;
  type(nullptr);
  --mute_;
  const std::size_t count = pack_size_;
  const std::size_t until = at_;
  if (count == no_expansion) {
    put("...");
  } else {
    ++is_again_;
    for (std::size_t i = 0; i < count && may_go_on(); ++i) {
      if (i != 0) put(", ");
      at_ = from;
      expansion_ = i;
      type(nullptr);
    }
    --is_again_;
    if (count == 0) drop_comma();
  }
  at_ = until;
  expansion_ = outer;
}

// --- types ---------------------------------------------------------------------------------------------------------

void demangler::type_unseen() noexcept {
  ++mute_;
  type(nullptr);
  --mute_;
}

void demangler::type(const modifier* around) noexcept {
  ++depth_;
  ++in_type_;
  if (may_go_on()) one_type(around);
  --in_type_;
  --depth_;
}

void demangler::one_type(const modifier* around) noexcept {
  const std::size_t from = at_;
  const char c = peek();
  if (c == 'P' || c == 'R' || c == 'O' || c == 'K' || c == 'V') {
    ++at_;
    const modifier added{c, 0, around};
    // "const volatile" counts as one.
    if ((c == 'K' || c == 'V') && (peek() == 'K' || peek() == 'V')) return one_type(&added);
    type(&added);
    return remember(from);
  }
  if (c == 'M') {
    ++at_;
    const modifier added{c, at_, around};
    type_unseen();
    type(&added);
    return remember(from);
  }
  if (take("Dp")) {
    expansion();
    return remember(from);
  }
  if (take("Do") || c == 'F') {
    function_type(around);
    return remember(from);
  }
  if (c == 'A') {
    array_type(around);
    return remember(from);
  }
  if (c == 'T') {
    if (peek(1) == 's' || peek(1) == 'u' || peek(1) == 'e') at_ += 2;  // "struct", "union", "enum"
    template_parameter(around);
    return remember(from);
  }
  if (c == 'S' && peek(1) != 't') {
    const bool is_template = substitution(around);
    if (is_template) remember(from);
    return;
  }
  for (const spelling& known : plain_types) {
    if (take(known.code)) {
      put(known.name);
      return put_modifiers(around);
    }
  }
  if (take("u")) {
    source_name();
  } else {
    class_type();
  }
  put_modifiers(around);
  remember(from);
}

void demangler::class_type() noexcept {
  qualifiers unused;
  const bool has_return_type = has_return_type_;
  const bool is_special = is_special_;
  const std::string_view last = last_name_;
  name(unused);
  last_name_ = last;
  has_return_type_ = has_return_type;
  is_special_ = is_special;
}

void demangler::put_modifiers(const modifier* around) noexcept {
  for (; around != nullptr; around = around->outer) {
    switch (around->code) {
      case 'P': put("*"); break;
      case 'K': put(" const"); break;
      case 'V': put(" volatile"); break;
      case 'R':
      case 'O':
        if (mute_ == 0 && ends_with("&&")) {
          if (around->code == 'R') --size_;
        } else if (!ends_with("&")) {
          put(around->code == 'R' ? "&" : "&&");
        }
        break;
      default:
        if (!ends_with("(")) put(" ");
        again(around->at, 0, nullptr);
        put("::*");
        break;
    }
  }
}

const demangler::modifier* demangler::skip_qualifiers(const modifier* around) noexcept {
  while (around != nullptr && (around->code == 'K' || around->code == 'V')) around = around->outer;
  return around;
}

void demangler::put_qualifiers(const modifier* around) noexcept {
  for (; around != nullptr && (around->code == 'K' || around->code == 'V'); around = around->outer) {
    put(around->code == 'K' ? " const" : " volatile");
  }
}

void demangler::put_in_parentheses(const modifier* around) noexcept {
  if (around == nullptr) return;
  put("(");
  put_modifiers(around);
  put(")");
}

void demangler::function_type(const modifier* around) noexcept {
  if (!take("F")) return fail();
  take("Y");
  type(nullptr);
  put(" ");
  put_in_parentheses(skip_qualifiers(around));
  put("(");
  parameters();
  put(")");
  put_qualifiers(around);
  if (!take("E")) fail();
}

void demangler::array_type(const modifier* around) noexcept {
  take("A");
  const std::size_t from = at_;
  while (is_digit(peek())) ++at_;
  const std::string_view size = in_.substr(from, at_ - from);
  if (!take("_")) return fail();
  type(nullptr);
  put_qualifiers(around);
  put(" ");
  const modifier* const outer = skip_qualifiers(around);
  put_in_parentheses(outer);
  if (outer != nullptr) put(" ");
  put("[");
  put(size);
  put("]");
}

bool demangler::substitution(const modifier* around) noexcept {
  const std::size_t start = at_;
  for (const spelling& known : standard_names) {
    if (take(known.code)) {
      put(known.name);
      last_name_ = known.name.substr(5);
      return arguments_of_substitution(around);
    }
  }
  take("S");
  const std::size_t which = index(36);
  if (!is_good_ || which >= part_count_ || parts_[which].from >= start) {
    fail();
    return false;
  }
  if (peek() != 'I') {
    again(parts_[which].from, parts_[which].until, around);
    return false;
  }
  again(parts_[which].from, parts_[which].until, nullptr);
  return arguments_of_substitution(around);
}

bool demangler::arguments_of_substitution(const modifier* around) noexcept {
  const bool has_arguments = peek() == 'I' && in_type_ != 0;
  if (has_arguments) template_arguments();
  put_modifiers(around);
  return has_arguments;
}

void demangler::again(std::size_t from, std::size_t until, const modifier* around) noexcept {
  ++depth_;
  if (may_go_on()) {
    const std::size_t before = at_;
    ++is_again_;
    ++in_type_;
    at_ = from;
    if (until == 0) {
      if (peek() == 'J' || peek() == 'I' || peek() == 'L' || peek() == 'X') {
        template_argument();
      } else {
        type(around);
      }
    } else {
      if (in_.substr(from).starts_with("St") && !in_nested(from)) {
        take("St");
        put("std::");
        unqualified_name();
      } else {
        components(until);
      }
      put_modifiers(around);
    }
    --in_type_;
    --is_again_;
    at_ = before;
  }
  --depth_;
}

bool demangler::in_nested(std::size_t from) const noexcept {
  return from > 0 && (in_[from - 1] == 'N' || in_[from - 1] == 'K');
}

}  // namespace turnkey::platform
