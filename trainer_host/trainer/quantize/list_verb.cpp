#include "trainer_host/trainer/quantize/list_verb.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "platform/console/table.hpp"
#include "platform/console/terminal.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/join.hpp"
#include "trainer_host/trainer/quantize/targets.hpp"

namespace outcrop::quantize {
namespace {

// Other names by which `variant` is made, alone or with others.
std::vector<std::string> names_for(const std::string& variant) {
  std::vector<std::string> names;
  for (const MethodName& one : method_names()) {
    if (one.name == variant) continue;
    if (std::find(one.variants.begin(), one.variants.end(), variant) != one.variants.end()) names.push_back(one.name);
  }
  return names;
}

// Of kernels by name.
std::string targets_text() {
  std::string text = "\nKernels (--target):\n";
  for (const Target& target : targets()) {
    const std::string why_not = why_not_here(target);
    text += "  " + target.name + std::string(10 - target.name.size(), ' ') + target.about + "; here: " +
            (why_not.empty() ? "yes" : "no, " + why_not) + (target.why_not.empty() ? "" : "; not offered: " + target.why_not) +
            "\n";
  }
  return text;
}

Status run(bool json) {
  // Files are made and run by this engine, whatever kernels of it.
  const std::string why_not = why_not_here(targets().front());
  if (json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const VariantKind& kind : variant_kinds()) {
      list.push_back({{"variant", kind.name},
                      {"methods", names_for(kind.name)},
                      {"about", kind.about},
                      {"needs", kind.needs},
                      {"limits", kind.limits},
                      {"target", kind.kernels},
                      {"here", why_not.empty()},
                      {"why_not", why_not}});
    }
    std::printf("%s\n", json_text(list).c_str());
    return {};
  }
  Table table({"variant", "--method", "what it is", "needs", "of", "here"});
  table.less_needed({"of", "needs"});
  for (const VariantKind& kind : variant_kinds()) {
    table.add_row({kind.name, join(names_for(kind.name), ", "), kind.about, kind.needs.empty() ? "nothing" : kind.needs,
                   kind.limits, why_not.empty() ? "yes" : "no: " + why_not});
  }
  std::fputs(table.to_string(line_width(STDOUT_FILENO)).c_str(), stdout);
  std::fputs(targets_text().c_str(), stdout);
  std::printf("\nA variant's own name is a method, too. Any of them may stand in [quantize] variants = [...] of a\n"
              "configuration. outcrop recommend MODEL says which to begin with.\n");
  return {};
}

}  // namespace

void add_list(CLI::App& app, cli::Action& chosen) {
  auto json = std::make_shared<bool>(false);
  CLI::App* verb = app.add_subcommand(
      "list", "All ways to quantize: what each is, what it needs, of which layers, and whether this machine can.");
  verb->add_flag("--json", *json, "As one line of JSON");
  verb->footer("Example:\n  outcrop list");
  verb->callback([json, &chosen] {
    chosen = [json] { return run(*json); };
  });
}

}  // namespace outcrop::quantize
