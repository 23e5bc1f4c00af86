#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/text/labelled_texts.hpp"

namespace outcrop::text {

// How labelled texts are read.
struct TextColumns {
  std::string text = "text";        // headings of a table's columns
  std::string label = "label";
  std::vector<std::string> ignored; // folders that are no class: "unsup" of aclImdb
};

// Labelled texts where a user has them:
//   a folder    with a folder for each class and a text in each of its .txt files; or one with folders "train" and "test"
//               that are so (aclImdb)
//   x.tsv, x.csv  a line of headings, then a text and its class in each row (delimited_rows.hpp)
class TextSource {
 public:
  // not_found and invalid_data name file or folder, and the line: no UTF-8, a text without a word, a class without a
  // text, a heading that is not there.
  [[nodiscard]] static Result<TextSource> read(const std::filesystem::path& path, const TextColumns& columns);

  [[nodiscard]] const LabelledTexts& training() const { return training_; }
  // What it has to test with; none where it says nothing of that.
  [[nodiscard]] const LabelledTexts& test() const { return test_; }

 private:
  LabelledTexts training_;
  LabelledTexts test_;
};

}  // namespace outcrop::text
