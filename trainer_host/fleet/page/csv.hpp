#pragma once

#include <vector>

#include "platform/http/server.hpp"
#include "trainer_host/fleet/view/acknowledged.hpp"
#include "trainer_host/fleet/view/filter.hpp"

namespace outcrop::fleet::page {

// The page's lists for spreadsheets and other programs: whole, where a screen has a page of them.
[[nodiscard]] http::Response boards_csv(const FleetView& view, const std::vector<const BoardRow*>& rows);
[[nodiscard]] http::Response changes_csv(const std::vector<Change>& changes, const AcknowledgedOf& acknowledged);

}  // namespace outcrop::fleet::page
