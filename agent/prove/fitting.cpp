#include "agent/prove/fitting.hpp"

#include <algorithm>
#include <fstream>

#include "protocol/base/join.hpp"

namespace outcrop::agent {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Why the variant can never run here; empty where it can.
std::string obstacle(const messages::Variant& variant, const runtime::Hello& engine,
                     const BoardLimits& limits) {
  if (variant.engine != engine.engine) {
    return "needs the engine '" + variant.engine + "'; this board has " + engine.engine;
  }
  std::vector<std::string> missing;
  for (const std::string& name : limits.missing_operators) {
    if (contains(variant.operators, name)) missing.push_back(name);
  }
  if (!missing.empty()) {
    return "needs " + (missing.size() == 1 ? "the operator " : std::string("the operators ")) +
           join(missing) + ", which this board's " + engine.engine + " " + engine.engine_version +
           " has not";
  }
  const auto backend = std::find_if(engine.backends.begin(), engine.backends.end(),
                                    [&](const auto& b) { return b.name == variant.backend; });
  if (backend == engine.backends.end()) {
    return "needs the backend '" + variant.backend + "', which this board's engine has not";
  }
  for (const std::string& wrong : backend->failed) {
    // A failed "quantized::conv2d" is also "quantized::conv2d.new" and "quantized::conv2d_relu".
    const auto uses = [&](const std::string& name) { return name.starts_with(wrong); };
    if (std::any_of(variant.operators.begin(), variant.operators.end(), uses)) {
      return "uses " + wrong + ", which " + variant.backend + " computes wrongly on this board";
    }
  }
  if (variant.memory > limits.memory_limit) {
    return "needs " + variant.memory.human() + "; the runner's limit is " +
           limits.memory_limit.human();
  }
  return {};
}

}  // namespace

std::string lack_of_memory(const messages::Variant& variant, ByteCount engine, ByteCount available) {
  const ByteCount wanted(variant.memory.value() + engine.value());
  if (available == ByteCount() || wanted <= available) return {};
  return "needs " + wanted.human() + " with its engine; this board has " + available.human() + " to give";
}

ByteCount available_memory() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  std::uint64_t kib = 0;
  for (std::string rest; file >> key >> kib && std::getline(file, rest);) {
    if (key == "MemAvailable:") return ByteCount::kib(kib);
  }
  return {};
}

Fitting fit(const messages::Manifest& manifest, const std::vector<std::string>& asked,
            const runtime::Hello& engine, const BoardLimits& limits) {
  Fitting fitting;
  fitting.engine_memory = engine.memory;
  for (const messages::Variant& variant : manifest.variants) {
    std::string reason;
    if (!asked.empty() && !contains(asked, variant.name)) {
      reason = "not asked for";
    } else {
      reason = obstacle(variant, engine, limits);
      if (reason.empty()) {
        reason = lack_of_memory(variant, engine.memory, limits.memory_available);
        fitting.short_of_memory = fitting.short_of_memory || !reason.empty();
      }
    }
    if (reason.empty()) {
      fitting.variants.push_back(variant.name);
    } else {
      messages::ReportedVariant left_out;
      left_out.name = variant.name;
      left_out.reason = reason;
      fitting.left_out.push_back(std::move(left_out));
    }
  }
  return fitting;
}

}  // namespace outcrop::agent
