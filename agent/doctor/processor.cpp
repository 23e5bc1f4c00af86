#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "agent/doctor/machine.hpp"

namespace outcrop::agent {
namespace {

using Features = std::set<std::string>;

struct Processor {
  std::string name;
  std::optional<Features> arm;  // of a "Features" line: what all cores have
  std::optional<Features> x86;  // of a "flags" line
};

Features split(const std::string& text) {
  std::istringstream words(text);
  Features features;
  for (std::string word; words >> word;) features.insert(word);
  return features;
}

void keep_common(std::optional<Features>& all, const Features& of_one) {
  if (!all) {
    all = of_one;
    return;
  }
  std::erase_if(*all, [&](const std::string& feature) { return !of_one.contains(feature); });
}

// Arm's part numbers of the cores in the boards we know (implementer 0x41).
std::string core_name(const std::string& part) {
  static const std::map<std::string, std::string> names{
      {"0xd03", "Cortex-A53"},  {"0xd04", "Cortex-A35"}, {"0xd05", "Cortex-A55"},
      {"0xd07", "Cortex-A57"},  {"0xd08", "Cortex-A72"}, {"0xd09", "Cortex-A73"},
      {"0xd0a", "Cortex-A75"},  {"0xd0b", "Cortex-A76"}, {"0xd0c", "Neoverse-N1"},
      {"0xd40", "Neoverse-V1"}, {"0xd41", "Cortex-A78"}, {"0xd42", "Cortex-A78AE"},
      {"0xd49", "Neoverse-N2"}, {"0xd4f", "Neoverse-V2"}};
  const auto found = names.find(part);
  return found == names.end() ? "Arm core " + part : found->second;
}

Processor read_processor(const std::string& cpuinfo) {
  Processor processor;
  std::istringstream lines(cpuinfo);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
    const std::size_t start = line.find_first_not_of(" \t", colon + 1);
    const std::string value = start == std::string::npos ? "" : line.substr(start);
    if (key == "Features") keep_common(processor.arm, split(value));
    if (key == "flags") keep_common(processor.x86, split(value));
    if (key == "model name" && processor.name.empty()) processor.name = value;
    if (key == "CPU part") {
      const std::string name = core_name(value);
      if (processor.name.find(name) == std::string::npos) {
        processor.name += (processor.name.empty() ? "" : " and ") + name;
      }
    }
  }
  if (processor.name.empty()) processor.name = "a processor without a name";
  return processor;
}

std::string with_and_without(const Processor& processor, const Features& has,
                             const std::vector<std::string>& wanted) {
  std::vector<std::string> there, missing;
  for (const std::string& feature : wanted) {
    (has.contains(feature) ? there : missing).push_back(feature);
  }
  std::string text = processor.name;
  if (!there.empty()) text += " with " + enumerate(there);
  if (!missing.empty()) text += (there.empty() ? " without " : ", without ") + enumerate(missing);
  return text;
}

Finding judge_arm(const Processor& processor, bool engine_runs) {
  const Features& has = *processor.arm;
  if (!has.contains("asimd")) {
    return {"processor", Verdict::fail,
            processor.name + (has.contains("neon") ? " in a 32-bit system" : " without asimd"),
            "install a 64-bit system: there is no LibTorch for this one"};
  }
  const std::string text = with_and_without(processor, has, {"atomics", "asimddp", "i8mm"});
  if (has.contains("atomics")) return {"processor", Verdict::ok, text, {}};
  if (engine_runs) return {"processor", Verdict::ok, text + "; the engine does without them", {}};
  return {"processor", Verdict::warn, text,
          "LibTorch 2.10 and later need atomics: use its mobile build, Debian's, or the wheel of "
          "2.9.1"};
}

Finding judge_x86(const Processor& processor) {
  const Features& has = *processor.x86;
  const std::string text = with_and_without(processor, has, {"avx2", "fma", "avx512_vnni"});
  if (has.contains("avx2") && has.contains("fma")) return {"processor", Verdict::ok, text, {}};
  return {"processor", Verdict::warn, text,
          "expect slow models; in a virtual machine, let it have the host's processor"};
}

}  // namespace

Finding check_processor(const MachineFiles& files, bool engine_runs) {
  const auto cpuinfo = files.text("proc/cpuinfo");
  const Processor processor = read_processor(cpuinfo.value_or(""));
  if (processor.arm) return judge_arm(processor, engine_runs);
  if (processor.x86) return judge_x86(processor);
  return {"processor", Verdict::unknown, "/proc/cpuinfo lists no features that are known here",
          "is /proc mounted? LibTorch needs it to know the processor"};
}

}  // namespace outcrop::agent
