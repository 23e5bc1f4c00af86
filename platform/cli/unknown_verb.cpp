#include "platform/cli/unknown_verb.hpp"

#include <algorithm>
#include <vector>

#include "platform/cli/tree.hpp"
#include "platform/text/nearest.hpp"
#include "protocol/base/join.hpp"

namespace outcrop::cli {
namespace {

std::string message(const CLI::App& app, const std::string& word,
                    const std::vector<const CLI::App*>& verbs) {
  std::vector<std::string> known;
  for (const CLI::App* verb : verbs) known.push_back(verb->get_name());
  const auto meant = platform::nearest(word, known);
  const std::string whole = app.get_parent() == nullptr ? "" : app.get_name() + " ";
  std::string text = "'" + whole + word + "' is no verb; ";
  if (meant) return text + "did you mean '" + whole + *meant + "'?";
  return text + "there are: " + join(known);
}

}  // namespace

std::optional<std::string> unknown_verb(const CLI::App& app, std::span<const std::string> words) {
  const CLI::App* at = &app;
  for (const std::string& word : words) {
    if (at->get_require_subcommand_min() == 0 || word.empty() || word.front() == '-') break;
    const auto verbs = verbs_of(*at);
    const auto found = std::find_if(verbs.begin(), verbs.end(),
                                    [&](const CLI::App* verb) { return verb->check_name(word); });
    if (found == verbs.end()) return message(*at, word, verbs);
    at = *found;
  }
  return std::nullopt;
}

}  // namespace outcrop::cli
