#include "trainer_host/trainer/sweep/sweep_config.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <sstream>

#include "platform/config/toml_reader.hpp"
#include "platform/text/nearest.hpp"
#include "protocol/base/join.hpp"
#include "trainer_host/trainer/data/counter_random.hpp"

namespace outcrop::sweep {
namespace {

using platform::TomlReader;

constexpr std::size_t most_keys = 12;
constexpr std::size_t most_values = 100;
constexpr std::size_t most_points = 10'000;
constexpr int draws_for_a_point = 100;  // before it is taken that there are no others
constexpr double largest = 1e15;        // integers are exact in a double

const std::map<std::string, Search>& searches() {
  static const std::map<std::string, Search> all{
      {"grid", Search::grid}, {"random", Search::random}, {"halving", Search::halving}};
  return all;
}

Search read_search(TomlReader::Table& table) {
  const std::string name = table.text("search", "grid");
  const auto found = searches().find(name);
  if (found != searches().end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [each, search] : searches()) names.push_back(each);
  table.refuse("search", "there is no search '" + name + "'; " + platform::did_you_mean(name, names) + "known are " +
                             join(names));
  return Search::grid;
}

std::optional<bool> read_better(TomlReader::Table& table) {
  if (!table.has("better")) return std::nullopt;
  const std::string better = table.text("better", std::nullopt);
  if (better != "more" && better != "less") table.refuse("better", "it must be \"more\" or \"less\"");
  return better == "more";
}

Key::Range read_range(TomlReader::Table& table) {
  Key::Range range;
  range.from = table.number("from", std::nullopt, -largest, largest);
  range.to = table.number("to", std::nullopt, -largest, largest);
  const std::string scale = table.text("scale", "linear");
  range.logarithmic = scale == "log";
  range.whole = table.boolean("whole", false);
  if (!(range.from < range.to)) table.refuse("to", "it must be above from");
  if (scale != "linear" && scale != "log") table.refuse("scale", "it must be \"linear\" or \"log\"");
  if (range.logarithmic && range.from <= 0) table.refuse("from", "it must be above 0 where the scale is \"log\"");
  if (range.whole && std::ceil(range.from) > std::floor(range.to)) table.refuse("to", "there is no integer between from and to");
  return range;
}

Key read_key(TomlReader::Table table, const std::string& name, Search search) {
  Key key{.name = name, .values = {}};
  const bool range = table.has("from") || table.has("to");
  if (range && table.has("values")) table.refuse("values", "a key has values, or from and to, not both");
  if (range) {
    key.range = read_range(table);
    if (search == Search::grid) table.refuse("from", "a grid tries every value: list them by values, or search \"random\"");
  } else {
    key.values = table.texts("values", std::nullopt, most_values);
    if (key.values.empty()) table.refuse("values", "it is empty; give values as TOML has them: [\"0.001\", \"0.002\"]");
    if (std::set(key.values.begin(), key.values.end()).size() != key.values.size()) {
      table.refuse("values", "names a value twice");
    }
  }
  table.finish();
  return key;
}

std::string drawn_from(const Key::Range& range, double share) {
  double value = range.logarithmic ? std::exp(std::log(range.from) + share * (std::log(range.to) - std::log(range.from)))
                                   : range.from + share * (range.to - range.from);
  std::ostringstream text;
  if (range.whole) {
    value = std::min(std::max(std::round(value), std::ceil(range.from)), std::floor(range.to));
    text << static_cast<std::int64_t>(value);
    return text.str();
  }
  text.precision(4);  // what a person would write
  text << value;
  const std::string written = text.str();
  return written.find_first_of(".e") == std::string::npos ? written + ".0" : written;
}

Result<std::vector<Point>> grid_of(const Sweep& sweep) {
  std::size_t count = 1;
  for (const Key& key : sweep.keys) count *= std::min(key.values.size(), most_points / count + 1);
  if (count > most_points) {
    return fail(ErrorCode::invalid_argument, sweep.file.string() + ": this grid has more than " + std::to_string(most_points) +
                                                 " combinations; list fewer values, or search \"random\"");
  }
  std::vector<Point> points(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t rest = i;
    for (const Key& key : sweep.keys) {
      points[i].push_back(key.values[rest % key.values.size()]);
      rest /= key.values.size();
    }
  }
  return points;
}

Result<std::vector<Point>> drawn(const Sweep& sweep) {
  constexpr std::uint64_t steps = std::uint64_t{1} << 32;
  std::vector<Point> points;
  std::set<Point> known;
  data::CounterRandom random(sweep.seed, 0);
  for (std::int64_t tries = 0; static_cast<std::int64_t>(points.size()) < sweep.trials; ++tries) {
    if (tries > sweep.trials * draws_for_a_point) {
      return fail(ErrorCode::invalid_argument, sweep.file.string() + ": sweep.trials: there are " +
                                                   std::to_string(points.size()) + " different points, not " +
                                                   std::to_string(sweep.trials) + "; want fewer, or list more values");
    }
    Point point;
    for (const Key& key : sweep.keys) {
      if (key.range) {
        point.push_back(drawn_from(*key.range, static_cast<double>(random.below(steps)) / static_cast<double>(steps - 1)));
      } else {
        point.push_back(key.values[random.below(key.values.size())]);
      }
    }
    if (known.insert(point).second) points.push_back(std::move(point));
  }
  return points;
}

}  // namespace

Result<Sweep> read_sweep(const std::filesystem::path& file) {
  OUTCROP_TRY(reader, TomlReader::open(file));
  auto root = reader.root();
  auto table = root.table("sweep");
  Sweep sweep;
  sweep.file = file;
  sweep.config = table.path("config", std::nullopt);
  sweep.settings = table.texts("set", std::vector<std::string>(), 64);
  sweep.out = table.path("out", "sweep");
  sweep.search = read_search(table);
  const bool draws = sweep.search != Search::grid;
  if (!draws && table.has("trials")) table.refuse("trials", "a grid tries every combination: leave it out");
  sweep.trials = table.integer("trials", sweep.trials, draws ? 2 : 0, static_cast<std::int64_t>(most_points));
  sweep.seed = static_cast<std::uint64_t>(table.integer("seed", 1, 0, std::numeric_limits<std::int64_t>::max()));
  const bool halving = sweep.search == Search::halving;
  sweep.stages = table.integer("stages", halving ? 3 : 1, halving ? 2 : 1, 1000);
  if (!halving && table.has("keep")) table.refuse("keep", "all trials go on to the end where the search is not \"halving\"");
  sweep.keep = table.number("keep", sweep.keep, 0.05, 0.95);
  if (table.has("goal")) sweep.goal = table.text("goal", std::nullopt);
  sweep.more_is_better = read_better(table);
  auto keys = root.table("keys");
  for (const std::string& name : keys.table_names()) sweep.keys.push_back(read_key(keys.table(name), name, sweep.search));
  keys.finish("keys stand in a table each, in quotes: [keys.\"train.learning_rate\"]");
  if (sweep.keys.empty() || sweep.keys.size() > most_keys) {
    root.refuse("keys", "1 to " + std::to_string(most_keys) + " keys of the training's configuration are wanted, a table each: "
                        "[keys.\"train.learning_rate\"]");
  }
  table.finish();
  root.finish();
  OUTCROP_CHECK(reader.status());
  return sweep;
}

Result<std::vector<Point>> points_of(const Sweep& sweep) {
  return sweep.search == Search::grid ? grid_of(sweep) : drawn(sweep);
}

std::vector<std::string> settings_of(const Sweep& sweep, const Point& point) {
  std::vector<std::string> settings = sweep.settings;
  for (std::size_t i = 0; i < sweep.keys.size(); ++i) settings.push_back(sweep.keys[i].name + "=" + point[i]);
  settings.emplace_back("train.keep_stages=1");
  return settings;
}

}  // namespace outcrop::sweep
