#pragma once

#include <string>
#include <vector>

#include "protocol/messages/manifest.hpp"
#include "protocol/messages/report.hpp"

namespace outcrop::messages {

// Operators of Outcrop's own, which LibTorch has not, begin with this: "outcrop::linear_int4".
inline constexpr const char* own_operators = "outcrop::";

// Their kernels are known to few and tried on few machines: they have to be worth it.
inline constexpr double worth_own_operators = 1.2;

[[nodiscard]] bool has_own_operators(const Variant& variant);

// Whether a variant may be chosen, by what one board reported: always, unless it has operators of our own; then only where
// that board measured it, and its p90 is `worth_own_operators` times below that of each variant without that it measured,
// of which there is one at least. A void measurement says nothing.
[[nodiscard]] bool may_be_chosen(const Variant& variant, const Manifest& manifest, const std::vector<ReportedVariant>& reported);

}  // namespace outcrop::messages
