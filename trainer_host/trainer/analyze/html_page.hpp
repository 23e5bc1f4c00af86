#pragma once

#include <optional>
#include <string>
#include <vector>

namespace outcrop::analyze {

// A page that stands alone: style and script in it, nothing from any network; light or dark as its reader's
// machine is, and printed in black on white. `body` is HTML.
[[nodiscard]] std::string html_page(const std::string& title, const std::string& about, const std::string& body);

// A part of the page with a heading, and a line that says what it shows.
[[nodiscard]] std::string html_section(const std::string& heading, const std::string& about,
                                       const std::string& body);

// A figure that is seen first.
struct Tile {
  std::string value;
  std::string about;
};
[[nodiscard]] std::string html_tiles(const std::vector<Tile>& tiles);

// What a reader sorts by clicking a heading.
class HtmlTable {
 public:
  explicit HtmlTable(std::vector<std::string> headings) : headings_(std::move(headings)) {}

  struct Cell {
    Cell(const char* of) : text(of) {}                  // NOLINT: a row reads {"a", "b"}
    Cell(std::string of) : text(std::move(of)) {}       // NOLINT
    Cell(std::string of, std::optional<double> by) : text(std::move(of)), value(by), number(true) {}
    std::string text;
    std::optional<double> value;  // what a number is sorted by; unknown ones come last
    bool number = false;          // stands to the right
  };
  void add_row(const std::vector<Cell>& cells);
  [[nodiscard]] std::string to_string() const;

 private:
  std::vector<std::string> headings_;
  std::string rows_;
  std::vector<bool> numbers_;
};

}  // namespace outcrop::analyze
