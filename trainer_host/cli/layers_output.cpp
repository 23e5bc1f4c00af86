#include "trainer_host/cli/layers_output.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "platform/console/columns.hpp"
#include "platform/console/table.hpp"
#include "protocol/base/counted.hpp"
#include "trainer_host/cli/human.hpp"

namespace outcrop::cli {
namespace {

struct Spent {
  std::size_t runs = 0;
  double ms = 0;
};

std::string table_of(const messages::VariantLayers& variant, const View& view) {
  std::map<std::string, Spent> by_name;
  double all = 0;
  for (const auto& one : variant.operators) {
    const double ms = std::chrono::duration<double, std::milli>(one.time).count();
    Spent& spent = by_name[one.name];
    ++spent.runs;
    spent.ms += ms;
    all += ms;
  }
  std::vector<std::pair<std::string, Spent>> rows(by_name.begin(), by_name.end());
  std::stable_sort(rows.begin(), rows.end(), [](const auto& one, const auto& other) { return one.second.ms > other.second.ms; });
  Table table({"operator", "runs", "ms", "share"});
  for (const auto& [name, spent] : rows) {
    table.add_row({name, std::to_string(spent.runs), short_number(spent.ms), short_number(all > 0 ? 100 * spent.ms / all : 0) + " %"});
  }
  return wrapped(variant.name + ", " + counted(variant.operators.size(), "operator") + " in " + short_number(all) +
                     " ms (medians of " + counted(variant.calls, "call") + "):\n",
                 view.width) +
         table.to_string(view.width);
}

}  // namespace

std::string layers_tables(const messages::Layers& layers, const View& view) {
  std::string text = wrapped("As " + layers.header.device + " (" + layers.device_class + ") told on " +
                                 to_rfc3339(layers.header.time) + ", by " + layers.engine + " " + layers.engine_version + ":\n",
                             view.width);
  for (const auto& variant : layers.variants) {
    text += "\n" + (variant.reason.empty() ? table_of(variant, view)
                                           : wrapped(variant.name + " was not timed: " + variant.reason + "\n", view.width));
  }
  return text;
}

}  // namespace outcrop::cli
