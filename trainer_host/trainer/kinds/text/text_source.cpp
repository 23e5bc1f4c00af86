#include "trainer_host/trainer/kinds/text/text_source.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/join.hpp"
#include "runtime/text/utf8.hpp"
#include "trainer_host/trainer/kinds/text/delimited_rows.hpp"

namespace outcrop::text {
namespace fs = std::filesystem;
namespace {

constexpr ByteCount longest_text = ByteCount::mib(1);
constexpr ByteCount longest_table = ByteCount::mib(1024);

// White space of ASCII alone: what else there is of it ends words as well, and nobody compares texts by it.
std::string trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\r\n\v\f";
  const std::size_t begin = std::min(text.find_first_not_of(space), text.size());
  const std::size_t end = text.find_last_not_of(space);
  return std::string(text.substr(begin, end == std::string_view::npos ? 0 : end + 1 - begin));
}

std::size_t line_of(std::string_view text, std::size_t offset) {
  return 1 + static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
}

Status check_utf8(const fs::path& file, std::string_view text) {
  const auto wrong = first_invalid(text);
  if (!wrong) return {};
  return fail(ErrorCode::invalid_data, file.string() + ":" + std::to_string(line_of(text, *wrong)) +
                                           ": it is not UTF-8; of Latin-1, iconv -f latin1 -t utf-8 makes it that");
}

Status check_has_words(const LabelledText& text) {
  if (!text.text.empty()) return {};
  return fail(ErrorCode::invalid_data, text.place + ": it has no text; leave it out");
}

Result<std::vector<fs::path>> sorted_entries(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (!at->path().filename().string().starts_with('.')) entries.push_back(at->path());
  }
  if (error) return fail(ErrorCode::io, "reading " + folder.string() + ": " + error.message());
  std::sort(entries.begin(), entries.end());
  return entries;
}

Result<LabelledTexts> read_class(const fs::path& folder) {
  LabelledTexts texts;
  OUTCROP_TRY(files, sorted_entries(folder));
  for (const fs::path& file : files) {
    if (file.extension() != ".txt" || !fs::is_regular_file(file)) continue;
    OUTCROP_TRY(text, read_text_file(file, longest_text));
    OUTCROP_CHECK(check_utf8(file, text));
    texts.push_back({trimmed(text), folder.filename().string(), file.string()});
    OUTCROP_CHECK(check_has_words(texts.back()));
  }
  if (!texts.empty()) return texts;
  return fail(ErrorCode::invalid_data, folder.string() + ": a class without a text: there is no .txt file in it; take the "
                                                         "folder away, or name it in data.ignore");
}

Result<LabelledTexts> read_classes(const fs::path& folder, const std::vector<std::string>& ignored) {
  LabelledTexts all;
  OUTCROP_TRY(entries, sorted_entries(folder));
  for (const fs::path& entry : entries) {
    const std::string name = entry.filename().string();
    if (!fs::is_directory(entry) || std::find(ignored.begin(), ignored.end(), name) != ignored.end()) continue;
    OUTCROP_TRY(texts, read_class(entry));
    all.insert(all.end(), std::make_move_iterator(texts.begin()), std::make_move_iterator(texts.end()));
  }
  if (!all.empty()) return all;
  return fail(ErrorCode::not_found, folder.string() + ": there is no folder of a class in it; a text's class is the folder "
                                                      "that its .txt file lies in");
}

Result<std::size_t> column(const DelimitedRow& headings, const std::string& name, const char* key) {
  const auto found = std::find(headings.cells.begin(), headings.cells.end(), name);
  if (found != headings.cells.end()) return static_cast<std::size_t>(found - headings.cells.begin());
  return fail(ErrorCode::invalid_data, "line 1: no heading is '" + name + "'; there are " + join(headings.cells) +
                                           ": name the right one by data." + key);
}

Result<LabelledTexts> read_table(const fs::path& file, const TextColumns& columns) {
  OUTCROP_TRY(bytes, read_text_file(file, longest_table));
  OUTCROP_CHECK(check_utf8(file, bytes));
  const auto named = [&](const Error& error) { return fail(error.context(file.string())); };
  auto rows = read_delimited(bytes, file.extension() == ".csv" ? Delimiter::comma : Delimiter::tab);
  if (!rows) return named(rows.error());
  if (rows->size() < 2) return fail(ErrorCode::invalid_data, file.string() + ": there is no row behind the headings");
  const auto text = column(rows->front(), columns.text, "text_column");
  if (!text) return named(text.error());
  const auto label = column(rows->front(), columns.label, "label_column");
  if (!label) return named(label.error());
  LabelledTexts texts;
  for (std::size_t i = 1; i < rows->size(); ++i) {
    const DelimitedRow& row = (*rows)[i];
    const std::string place = file.string() + ":" + std::to_string(row.line);
    texts.push_back({trimmed(row.cells[*text]), trimmed(row.cells[*label]), place});
    OUTCROP_CHECK(check_has_words(texts.back()));
    if (texts.back().label.empty()) return fail(ErrorCode::invalid_data, place + ": it has no " + columns.label);
  }
  return texts;
}

// What only one of both has, which is no class then.
Status check_same_classes(const fs::path& folder, const LabelledTexts& training, const LabelledTexts& test) {
  const auto trained = classes_of(training);
  const auto tested = classes_of(test);
  for (const auto& [some, others, in, not_in] :
       {std::tuple(&trained, &tested, "train", "test"), std::tuple(&tested, &trained, "test", "train")}) {
    for (const std::string& name : *some) {
      if (std::binary_search(others->begin(), others->end(), name)) continue;
      return fail(ErrorCode::invalid_data, folder.string() + ": " + in + "/" + name + " is there and " + not_in + "/" + name +
                                               " is not; name it in data.ignore where it is no class");
    }
  }
  return {};
}

}  // namespace

Result<TextSource> TextSource::read(const fs::path& path, const TextColumns& columns) {
  TextSource source;
  std::error_code ignored;
  if (fs::is_directory(path / "train", ignored) && fs::is_directory(path / "test", ignored)) {
    OUTCROP_TRY(training, read_classes(path / "train", columns.ignored));
    OUTCROP_TRY(test, read_classes(path / "test", columns.ignored));
    OUTCROP_CHECK(check_same_classes(path, training, test));
    source.training_ = std::move(training);
    source.test_ = std::move(test);
    return source;
  }
  if (fs::is_directory(path, ignored)) {
    OUTCROP_TRY(training, read_classes(path, columns.ignored));
    source.training_ = std::move(training);
    return source;
  }
  if (path.extension() != ".tsv" && path.extension() != ".csv") {
    return fail(ErrorCode::not_found, path.string() + ": it is neither a folder with a folder for each class nor a .tsv or "
                                                      ".csv file");
  }
  OUTCROP_TRY(table, read_table(path, columns));
  source.training_ = std::move(table);
  return source;
}

}  // namespace outcrop::text
