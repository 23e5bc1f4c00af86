#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace outcrop::cli {

// Which boards a verb shows.
struct DeviceFilter {
  std::string device_class, tag, group;
  [[nodiscard]] std::string words() const;  // of a query; "": all boards
};
inline constexpr const char* nobody_fits = "No board fits what is asked for (outcrop fleet devices shows all)\n";
void add_filter_options(CLI::App& verb, DeviceFilter& filter);

}  // namespace outcrop::cli
