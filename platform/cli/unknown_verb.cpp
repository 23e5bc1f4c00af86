#include "platform/cli/unknown_verb.hpp"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <vector>

namespace outcrop::cli {
namespace {

// Levenshtein distance: insertions, deletions and substitutions of single characters.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row.back();
}

std::string message(const CLI::App& app, const std::string& word,
                    const std::vector<const CLI::App*>& verbs) {
  std::string known;
  const CLI::App* nearest = nullptr;
  std::size_t least = 3;  // two wrong letters are a slip, three are another word
  for (const CLI::App* verb : verbs) {
    known += (known.empty() ? "" : ", ") + verb->get_name();
    const std::size_t slips = distance(word, verb->get_name());
    if (slips < least) {
      least = slips;
      nearest = verb;
    }
  }
  const std::string whole = app.get_parent() == nullptr ? "" : app.get_name() + " ";
  std::string text = "'" + whole + word + "' is no verb; ";
  if (nearest != nullptr) return text + "did you mean '" + whole + nearest->get_name() + "'?";
  return text + "there are: " + known;
}

}  // namespace

std::optional<std::string> unknown_verb(const CLI::App& app, int argc, char** argv) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc && at->get_require_subcommand_min() > 0; ++i) {
    const std::string word = argv[i];
    if (word.empty() || word.front() == '-') return std::nullopt;
    const auto verbs = at->get_subcommands([](const CLI::App*) { return true; });
    const auto found = std::find_if(verbs.begin(), verbs.end(), [&](const CLI::App* verb) {
      return verb->check_name(word);
    });
    if (found == verbs.end()) return message(*at, word, verbs);
    at = *found;
  }
  return std::nullopt;
}

}  // namespace outcrop::cli
