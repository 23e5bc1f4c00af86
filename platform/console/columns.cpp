#include "platform/console/columns.hpp"

#include <algorithm>
#include <sstream>

namespace outcrop {
namespace {

bool begins_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
}

}  // namespace

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

std::string_view first_columns(std::string_view text, std::size_t columns) {
  std::size_t seen = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (begins_character(text[i]) && seen++ == columns) return text.substr(0, i);
  }
  return text;
}

std::vector<std::string> folded(const std::string& text, std::size_t width) {
  if (width == 0 || columns_of(text) <= width) return {text};
  std::vector<std::string> lines;
  std::string line;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (!line.empty() && columns_of(line) + 1 + columns_of(word) <= width) {
      line += " " + word;
      continue;
    }
    if (!line.empty()) lines.push_back(std::move(line));
    while (columns_of(word) > width) {  // longer than any line: a path, a digest
      lines.emplace_back(first_columns(word, width));
      word.erase(0, lines.back().size());
    }
    line = std::move(word);
  }
  lines.push_back(std::move(line));
  return lines;
}

std::string wrapped(const std::string& text, std::size_t width, std::size_t indent) {
  std::string all;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (width <= 2 * indent || columns_of(line) <= width) {
      all += line + "\n";
      continue;
    }
    const std::vector<std::string> parts = folded(line, width - indent);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      all += (i == 0 ? "" : std::string(indent, ' ')) + parts[i] + "\n";
    }
  }
  return all;
}

}  // namespace outcrop
