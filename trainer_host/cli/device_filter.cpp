#include "trainer_host/cli/device_filter.hpp"

#include <utility>

#include "platform/http/client.hpp"

namespace outcrop::cli {

std::string DeviceFilter::words() const {
  std::string text;
  for (const auto& [word, value] : {std::pair("class", &device_class), std::pair("tag", &tag), std::pair("group", &group)}) {
    if (!value->empty()) text += (text.empty() ? "" : "&") + std::string(word) + "=" + http::encode(*value);
  }
  return text;
}

void add_filter_options(CLI::App& verb, DeviceFilter& filter) {
  verb.add_option("--class", filter.device_class, "Only boards of this class");
  verb.add_option("--tag", filter.tag, "Only boards with this tag (outcrop fleet tag)");
  verb.add_option("--group", filter.group, "Only boards of this group (outcrop fleet group)");
}

}  // namespace outcrop::cli
