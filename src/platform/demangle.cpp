// Names of functions as people write them, from the Itanium C++ ABI's mangled ones. The C++ library has this, but only
// with allocation, and a report must not allocate.
//
// A recursive descent that prints as it reads. What the ABI calls a substitution - "the third type of this name, again"
// - is kept as the place where it was read, and is read again. What it leaves out: return types, ABI tags, the
// parameters of lambdas, and expressions but the simplest; with these, the parameters become "(...)".
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "platform/symbol.hpp"

namespace turnkey::platform {

namespace {

struct spelling {
  std::string_view code;
  std::string_view name;
};

constexpr spelling operators[] = {
    {"nw", " new"}, {"na", " new[]"}, {"dl", " delete"}, {"da", " delete[]"}, {"aw", " co_await"}, {"ps", "+"},
    {"ng", "-"},    {"ad", "&"},      {"de", "*"},       {"co", "~"},         {"pl", "+"},         {"mi", "-"},
    {"ml", "*"},    {"dv", "/"},      {"rm", "%"},       {"an", "&"},         {"or", "|"},         {"eo", "^"},
    {"aS", "="},    {"pL", "+="},     {"mI", "-="},      {"mL", "*="},        {"dV", "/="},        {"rM", "%="},
    {"aN", "&="},   {"oR", "|="},     {"eO", "^="},      {"ls", "<<"},        {"rs", ">>"},        {"lS", "<<="},
    {"rS", ">>="},  {"eq", "=="},     {"ne", "!="},      {"lt", "<"},         {"gt", ">"},         {"le", "<="},
    {"ge", ">="},   {"ss", "<=>"},    {"nt", "!"},       {"aa", "&&"},        {"oo", "||"},        {"pp", "++"},
    {"mm", "--"},   {"cm", ","},      {"pm", "->*"},     {"pt", "->"},        {"cl", "()"},        {"ix", "[]"},
};

constexpr spelling plain_types[] = {
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

constexpr spelling standard_names[] = {
    {"Sa", "std::allocator"}, {"Sb", "std::basic_string"}, {"Ss", "std::string"},
    {"Si", "std::istream"},   {"So", "std::ostream"},      {"Sd", "std::iostream"},
};

constexpr std::string_view long_string =
    "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";
constexpr std::string_view short_string = "std::string";

bool is_digit(char c) noexcept { return '0' <= c && c <= '9'; }

class demangler {
 public:
  explicit demangler(std::string_view mangled) noexcept : in_(mangled) {}

  bool run() noexcept {
    if (!take("_Z")) return false;
    encoding();
    return is_good_;
  }
  [[nodiscard]] std::string_view result() const noexcept { return {out_, size_}; }

 private:
  // What is said around a type: `*`, `const`, ... , innermost first.
  struct modifier {
    char code;
    std::size_t at;  // of the class, for a pointer to member
    const modifier* outer;
  };
  // A part that may be referred to: a type, or (until != 0) the components of a nested name up to there.
  struct part {
    std::size_t from;
    std::size_t until;
  };
  // The arguments that T_, T0_, ... stand for.
  struct arguments {
    static constexpr std::size_t most = 24;
    std::size_t at[most];
    std::size_t count = 0;
  };
  struct qualifiers {
    bool is_const = false;
    bool is_volatile = false;
    char reference = 0;
  };

  // --- reading and writing

  [[nodiscard]] char peek(std::size_t ahead = 0) const noexcept {
    return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0';
  }
  bool take(std::string_view expected) noexcept {
    if (!in_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }
  void fail() noexcept { is_good_ = false; }
  // False once it takes too long: an ill-formed name must not keep a report from coming.
  bool may_go_on() noexcept {
    constexpr int most_steps = 20'000;
    if (++steps_ > most_steps || depth_ > 80) fail();
    return is_good_;
  }

  void put(std::string_view piece) noexcept {
    if (mute_ != 0 || piece.empty()) return;
    if (piece.size() > sizeof out_ - size_) return fail();
    std::memcpy(out_ + size_, piece.data(), piece.size());
    size_ += piece.size();
  }
  // What an empty pack leaves behind.
  void drop_comma() noexcept {
    if (mute_ == 0 && ends_with(", ")) size_ -= 2;
  }
  [[nodiscard]] bool ends_with(std::string_view end) const noexcept { return result().ends_with(end); }

  std::size_t number() noexcept {
    std::size_t value = 0;
    if (!is_digit(peek())) fail();
    while (is_digit(peek())) {
      value = value * 10 + static_cast<std::size_t>(in_[at_++] - '0');
      if (value > in_.size() * 64) fail();
      if (!is_good_) return 0;
    }
    return value;
  }
  // "_" is 0, "0_" is 1, ... in base 10, or 36 for substitutions.
  std::size_t index(std::size_t base) noexcept {
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
  void put_number(std::size_t value) noexcept {
    char digits[20];
    std::size_t at = sizeof digits;
    do {
      digits[--at] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    put({digits + at, sizeof digits - at});
  }

  void remember(std::size_t from, std::size_t until = 0) noexcept {
    if (is_again_ != 0) return;
    if (part_count_ == sizeof parts_ / sizeof *parts_) return fail();
    parts_[part_count_++] = {from, until};
  }

  // --- functions

  void encoding() noexcept {
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

  [[nodiscard]] bool is_at_end() const noexcept { return peek() == '\0' || peek() == 'E' || peek() == '.'; }

  void function() noexcept {
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

  void parameters() noexcept {
    if (peek() == 'v' && (peek(1) == '\0' || peek(1) == 'E' || peek(1) == '.')) {
      ++at_;
      return;
    }
    for (bool is_first = true; is_good_ && !is_at_end(); is_first = false) {
      if (!is_first) put(", ");
      type(nullptr);
    }
  }

  // --- names

  void name(qualifiers& of_this) noexcept {
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

  void nested_name(qualifiers& of_this) noexcept {
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

  // The parts of a nested name, up to its E or to `until`.
  void components(std::size_t until) noexcept {
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

  void local_name(qualifiers& of_this) noexcept {
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

  void unqualified_name() noexcept {
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

  void source_name() noexcept {
    const std::size_t size = number();
    if (!is_good_ || size == 0 || size > in_.size() - at_) return fail();
    last_name_ = in_.substr(at_, size);
    at_ += size;
    if (last_name_.starts_with("_GLOBAL__N")) last_name_ = "(anonymous namespace)";
    put(last_name_);
  }

  void lambda() noexcept {
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

  void operator_name() noexcept {
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

  // --- templates

  void template_arguments() noexcept {
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

  void template_argument() noexcept {
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

  void literal() noexcept {
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

  void template_parameter(const modifier* around) noexcept {
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

  // Where the pack's element number expansion_ is; 0 if it has fewer: then, `size` is how many.
  std::size_t pack_element(std::size_t pack, std::size_t& size) noexcept {
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

  void expansion() noexcept {
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

  // --- types

  void type_unseen() noexcept {
    ++mute_;
    type(nullptr);
    --mute_;
  }

  void type(const modifier* around) noexcept {
    ++depth_;
    ++in_type_;
    if (may_go_on()) one_type(around);
    --in_type_;
    --depth_;
  }

  void one_type(const modifier* around) noexcept {
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

  void class_type() noexcept {
    qualifiers unused;
    const bool has_return_type = has_return_type_;
    const bool is_special = is_special_;
    const std::string_view last = last_name_;
    name(unused);
    last_name_ = last;
    has_return_type_ = has_return_type;
    is_special_ = is_special;
  }

  void put_modifiers(const modifier* around) noexcept {
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

  // The const and volatile of an array belong to its elements, those of a function to its object.
  static const modifier* skip_qualifiers(const modifier* around) noexcept {
    while (around != nullptr && (around->code == 'K' || around->code == 'V')) around = around->outer;
    return around;
  }
  void put_qualifiers(const modifier* around) noexcept {
    for (; around != nullptr && (around->code == 'K' || around->code == 'V'); around = around->outer) {
      put(around->code == 'K' ? " const" : " volatile");
    }
  }
  void put_in_parentheses(const modifier* around) noexcept {
    if (around == nullptr) return;
    put("(");
    put_modifiers(around);
    put(")");
  }

  void function_type(const modifier* around) noexcept {
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

  void array_type(const modifier* around) noexcept {
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

  // True if template arguments followed, which makes a new type of it.
  bool substitution(const modifier* around) noexcept {
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

  bool arguments_of_substitution(const modifier* around) noexcept {
    const bool has_arguments = peek() == 'I' && in_type_ != 0;
    if (has_arguments) template_arguments();
    put_modifiers(around);
    return has_arguments;
  }

  // Reads an earlier part once more.
  void again(std::size_t from, std::size_t until, const modifier* around) noexcept {
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
  // Whether the part that starts there is of a nested name: then, "St" is a component.
  [[nodiscard]] bool in_nested(std::size_t from) const noexcept {
    return from > 0 && (in_[from - 1] == 'N' || in_[from - 1] == 'K');
  }

  static constexpr std::size_t no_expansion = SIZE_MAX;

  std::string_view in_;
  std::size_t at_ = 0;
  std::size_t size_ = 0;
  bool is_good_ = true;
  bool has_return_type_ = false;  // the name that was just read is a template's
  bool is_special_ = false;       // ... is a constructor's, a destructor's or a conversion's: these return nothing
  int mute_ = 0;                  // read, but do not print
  int is_again_ = 0;              // read before: nothing new to remember
  int in_type_ = 0;
  int in_lambda_ = 0;  // T_ stands for auto
  int depth_ = 0;
  int steps_ = 0;
  std::size_t expansion_ = no_expansion;  // which element of a pack T_ stands for
  std::size_t pack_size_ = no_expansion;
  std::string_view last_name_;
  arguments arguments_;
  std::size_t part_count_ = 0;
  part parts_[128];
  char out_[2048];
};

}  // namespace

void demangle(text& to, const char* name) noexcept {
  demangler reader{std::string_view(name)};
  to << (reader.run() ? reader.result() : std::string_view(name));
}

}  // namespace turnkey::platform
