#include "bench/parity.hpp"

#include <algorithm>
#include <cmath>

namespace outcrop::bench {
namespace {

std::string without_number(const std::string& name) {
  const std::size_t blank = name.find(' ');
  const bool numbered =
      blank != std::string::npos && blank > 0 && name.find_first_not_of("0123456789") == blank;
  return numbered ? name.substr(blank + 1) : name;
}

Difference& entry(std::vector<Difference>& list, const std::string& name) {
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&](const Difference& known) { return known.name == name; });
  if (found != list.end()) return *found;
  list.push_back({.name = name});
  return list.back();
}

void add(std::span<const float> here, std::span<const float> there, Difference& difference) {
  double largest = 0.0;
  double largest_value = 0.0;
  for (std::size_t i = 0; i < here.size(); ++i) {
    largest_value = std::max(largest_value, std::abs(static_cast<double>(here[i])));
    if (here[i] == there[i]) continue;
    ++difference.differing;
    largest = std::max(largest, std::abs(static_cast<double>(here[i]) - there[i]));
  }
  ++difference.tensors;
  difference.values += here.size();
  difference.largest = std::max(difference.largest, largest);
  if (largest_value > 0.0) {
    difference.relative = std::max(difference.relative, largest / largest_value);
  }
}

}  // namespace

Result<std::vector<Difference>> differences(std::span<const runtime::Tensor> here,
                                            std::span<const runtime::Tensor> there) {
  std::vector<Difference> list;
  for (std::size_t i = 0; i < std::max(here.size(), there.size()); ++i) {
    if (i >= here.size() || i >= there.size() || here[i].name != there[i].name ||
        here[i].shape != there[i].shape) {
      const auto name = [&](std::span<const runtime::Tensor> run) {
        return i < run.size() ? "'" + run[i].name + "', " + describe(run[i])
                              : std::string("nothing");
      };
      return fail(ErrorCode::invalid_data, "not two runs of the same model: here comes " +
                                               name(here) + ", there " + name(there));
    }
    add(here[i].floats(), there[i].floats(), entry(list, without_number(here[i].name)));
  }
  return list;
}

}  // namespace outcrop::bench
