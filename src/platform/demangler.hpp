// The reader of one mangled name, for demangle(). Its functions are called as the ABI's grammar calls what they read; how they
// work is at the top of demangle.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace turnkey::platform {

class demangler {
 public:
  // Of what the ABI has a code for.
  struct spelling {
    std::string_view code;
    std::string_view name;
  };

  explicit demangler(std::string_view mangled) noexcept : in_(mangled) {}

  // False: it is no mangled name, or of a kind that is not known here.
  bool run() noexcept;
  // What has been written.
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

  static constexpr bool is_digit(char c) noexcept { return '0' <= c && c <= '9'; }
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
  bool may_go_on() noexcept;
  void put(std::string_view piece) noexcept;
  // What an empty pack leaves behind.
  void drop_comma() noexcept;
  [[nodiscard]] bool ends_with(std::string_view end) const noexcept { return result().ends_with(end); }
  std::size_t number() noexcept;
  // "_" is 0, "0_" is 1, ... in base 10, or 36 for substitutions.
  std::size_t index(std::size_t base) noexcept;
  void put_number(std::size_t value) noexcept;
  void remember(std::size_t from, std::size_t until = 0) noexcept;

  // --- functions and names: demangle.cpp

  void encoding() noexcept;
  [[nodiscard]] bool is_at_end() const noexcept { return peek() == '\0' || peek() == 'E' || peek() == '.'; }
  void function() noexcept;
  void parameters() noexcept;
  void name(qualifiers& of_this) noexcept;
  void nested_name(qualifiers& of_this) noexcept;
  // The parts of a nested name, up to its E or to `until`.
  void components(std::size_t until) noexcept;
  void local_name(qualifiers& of_this) noexcept;
  void unqualified_name() noexcept;
  void source_name() noexcept;
  void lambda() noexcept;
  void operator_name() noexcept;

  // --- templates and types: demangle_types.cpp

  void template_arguments() noexcept;
  void template_argument() noexcept;
  void literal() noexcept;
  void template_parameter(const modifier* around) noexcept;
  // Where the pack's element number expansion_ is; 0 if it has fewer: then, `size` is how many.
  std::size_t pack_element(std::size_t pack, std::size_t& size) noexcept;
  void expansion() noexcept;
  void type_unseen() noexcept;
  void type(const modifier* around) noexcept;
  void one_type(const modifier* around) noexcept;
  void class_type() noexcept;
  void put_modifiers(const modifier* around) noexcept;
  // The const and volatile of an array belong to its elements, those of a function to its object.
  static const modifier* skip_qualifiers(const modifier* around) noexcept;
  void put_qualifiers(const modifier* around) noexcept;
  void put_in_parentheses(const modifier* around) noexcept;
  void function_type(const modifier* around) noexcept;
  void array_type(const modifier* around) noexcept;
  // True if template arguments followed, which makes a new type of it.
  bool substitution(const modifier* around) noexcept;
  bool arguments_of_substitution(const modifier* around) noexcept;
  // Reads an earlier part once more.
  void again(std::size_t from, std::size_t until, const modifier* around) noexcept;
  // Whether the part that starts there is of a nested name: then, "St" is a component.
  [[nodiscard]] bool in_nested(std::size_t from) const noexcept;

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

}  // namespace turnkey::platform
