#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "protocol/base/clock.hpp"
#include "trainer_host/fleet/page/html.hpp"
#include "trainer_host/fleet/view/changes.hpp"

namespace outcrop::fleet::page {

// Figures and states as people read them.

[[nodiscard]] std::string milliseconds(double value);     // "38.2 ms"
[[nodiscard]] std::string megabytes(std::uint64_t bytes);  // "220 MB", "21.0 GB"
[[nodiscard]] std::string change(double ratio);            // "+5.1 %"
[[nodiscard]] std::string interval(const PairedChange& p90);  // "[+3.9, +6.2] %", "too few boards"
[[nodiscard]] std::string evidence(double e);                 // "212", "more than 10^6"
[[nodiscard]] std::string plain(double value);                // for data attributes: "38.25"
[[nodiscard]] std::string boards(std::size_t count);          // "1 board", "3 boards"

// How old it is, as of `now`; a script goes on counting. "never" for none.
[[nodiscard]] Html age(const std::optional<Timestamp>& time, Timestamp now);
[[nodiscard]] Html chip(Health health);    // by colour, shape and word
[[nodiscard]] Html chip(Verdict verdict);
[[nodiscard]] Html board_link(const std::string& name);
[[nodiscard]] Html rollout_link(const std::string& name);
// Whether heat or supply had a part in it, in words.
[[nodiscard]] std::string heat(const Change& change);
// "int8-qint8 on raspberry-pi-4 is slower by 8.1 % [...] than ...": the whole finding.
[[nodiscard]] Html sentence(const Change& change, const FleetView& view);

}  // namespace outcrop::fleet::page
