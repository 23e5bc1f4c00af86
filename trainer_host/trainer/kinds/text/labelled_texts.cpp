#include "trainer_host/trainer/kinds/text/labelled_texts.hpp"

#include <algorithm>
#include <cstdint>
#include <set>
#include <unordered_set>
#include <utility>

#include "protocol/trust/digest.hpp"

namespace outcrop::text {

std::vector<std::string> classes_of(const LabelledTexts& texts) {
  std::set<std::string> names;
  for (const LabelledText& one : texts) names.insert(one.label);
  return {names.begin(), names.end()};
}

Result<std::size_t> mix(LabelledTexts& texts) {
  std::vector<std::pair<trust::Sha256Digest, std::size_t>> order;
  for (std::size_t i = 0; i < texts.size(); ++i) order.emplace_back(trust::sha256(texts[i].text), i);
  std::sort(order.begin(), order.end());
  LabelledTexts mixed;
  for (std::size_t i = 0; i < order.size(); ++i) {
    LabelledText& text = texts[order[i].second];
    if (i == 0 || order[i].first != order[i - 1].first) {
      mixed.push_back(std::move(text));
    } else if (text.label != mixed.back().label) {
      return fail(ErrorCode::invalid_data, "the text of " + mixed.back().place + " (" + mixed.back().label +
                                               ") stands in " + text.place + " (" + text.label +
                                               ") again: one text has one class");
    }
  }
  const std::size_t twice = texts.size() - mixed.size();
  texts = std::move(mixed);
  return twice;
}

std::vector<bool> found_in(const LabelledTexts& some, const LabelledTexts& others) {
  std::unordered_set<std::string_view> known;
  for (const LabelledText& one : others) known.insert(one.text);
  std::vector<bool> found;
  for (const LabelledText& one : some) found.push_back(known.contains(one.text));
  return found;
}

std::string digest_of(const LabelledTexts& texts) {
  if (texts.empty()) return "";
  trust::Sha256Hasher hasher;
  for (const LabelledText& one : texts) {
    const std::string lengths = std::to_string(one.label.size()) + " " + std::to_string(one.text.size()) + "\n";
    for (const std::string* part : {&lengths, &one.label, &one.text}) hasher.update(as_bytes(*part));
  }
  return hasher.finish().hex();
}

}  // namespace outcrop::text
