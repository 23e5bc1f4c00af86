#include "agent/doctor/machine.hpp"
#include "runtime/measure/sensors.hpp"

namespace outcrop::agent {
namespace {

// A LibTorch takes 100 to 200 MB, a generator's weights and activations as much again.
constexpr ByteCount least_available(512'000'000);

}  // namespace

Finding check_memory(const MachineFiles& files) {
  const auto memory = runtime::read_memory(files);
  if (!memory) {
    return {"memory", Verdict::unknown, "/proc/meminfo does not say how much there is",
            "is /proc mounted?"};
  }
  const std::string text = memory->available.human() + " available of " + memory->total.human();
  if (memory->available >= least_available) return {"memory", Verdict::ok, text, {}};
  return {"memory", Verdict::warn, text,
          memory->total < least_available
              ? "this board is small: keep memory_limit_mb in [runner] of agent.toml within it"
              : "end what else runs here (a desktop?): a runner wants " + least_available.human()};
}

}  // namespace outcrop::agent
