#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace outcrop::fleet::page {

// A piece of HTML. What the source of this program says literally is markup; every other text is content, and
// escaped: what a board, a person or a file calls itself can never become markup.
class Html {
 public:
  template <std::size_t N>
  Html& operator<<(const char (&markup)[N]) {
    text_.append(markup, N - 1);
    return *this;
  }
  Html& operator<<(std::string_view content);
  Html& operator<<(const std::string& content) { return *this << std::string_view(content); }
  Html& operator<<(const Html& other) {
    text_ += other.text_;
    return *this;
  }
  Html& operator<<(std::integral auto number) {
    text_ += std::to_string(number);
    return *this;
  }

  [[nodiscard]] bool empty() const { return text_.empty(); }
  [[nodiscard]] const std::string& text() const& { return text_; }
  [[nodiscard]] std::string text() && { return std::move(text_); }

 private:
  std::string text_;
};

// Percent-encoding of a part of a path or of the value of a query.
[[nodiscard]] std::string in_url(std::string_view text);

}  // namespace outcrop::fleet::page
