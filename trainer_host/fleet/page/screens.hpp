#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "trainer_host/fleet/monitor/history.hpp"
#include "trainer_host/fleet/page/html.hpp"
#include "trainer_host/fleet/page/page.hpp"
#include "trainer_host/fleet/view/acknowledged.hpp"
#include "trainer_host/fleet/view/changes.hpp"
#include "trainer_host/fleet/view/filter.hpp"

namespace outcrop::fleet::page {

// What a screen is made of: each function gives the content of <main>.

using Query = std::map<std::string, std::string>;

[[nodiscard]] Html fleet_screen(const FleetView& view, const std::vector<std::string>& attention,
                                const AcknowledgedOf& acknowledged, Timestamp now);
// `lately`: p90 of what a board served, the oldest first (monitor::History::served_lately).
using Lately = std::function<std::vector<double>(const std::string& board)>;
[[nodiscard]] Html boards_screen(const FleetView& view, const BoardQuery& query, const BoardPage& page,
                                 const Lately& lately, const Reader& reader, Timestamp now);

// What is known of one board over time: of reports, and of telemetry where there is any.
struct BoardHistory {
  std::vector<StoredReport> reports;  // newest first
  std::optional<monitor::BoardSample> sample;
  monitor::Series served, temperature;
  std::optional<ShownPicture> picture;  // none: it was not asked for any
};
[[nodiscard]] Html board_screen(const FleetView& view, const BoardRow& row, const BoardHistory& history,
                                const Reader& reader, Timestamp now);
[[nodiscard]] Html rollout_screen(const FleetView& view, const RolloutRow& row, const AcknowledgedOf& acknowledged,
                                  const Reader& reader, Timestamp now);
// The two releases that the query names, or the newest two that boards measured; none where there are none.
[[nodiscard]] Result<std::optional<ReleasePair>> compared_pair(const FleetView& view, const Query& query);
// `pictures`: what boards drew with the second of them.
[[nodiscard]] Html compare_screen(const FleetView& view, const Query& query, const std::optional<ReleasePair>& pair,
                                  const std::vector<ShownPicture>& pictures, Timestamp now);
[[nodiscard]] Html regressions_screen(const FleetView& view,
                                      const std::vector<monitor::Outlier>* outliers,
                                      const monitor::AuditPage* audit, const AcknowledgedOf& acknowledged,
                                      const Reader& reader, Timestamp now);

// What a board drew beside the host's own, and a button where the reader may ask for another.
[[nodiscard]] Html picture_part(const FleetView& view, const BoardRow& row, const std::optional<ShownPicture>& picture,
                                const Reader& reader, Timestamp now);
// One beside the other, the host's own first.
[[nodiscard]] Html pictures_strip(const std::vector<ShownPicture>& pictures, Timestamp now);

// Around them: head, navigation, `active` the path of the screen in it.
[[nodiscard]] std::string layout(const std::string& title, const std::string& active,
                                 const Html& content, const Reader& reader, Timestamp now);

// A table in a region that scrolls by itself where the screen is narrow.
[[nodiscard]] Html scrolling(const std::string& name, const Html& table);
// The same below a heading, which names it.
[[nodiscard]] Html headed(const std::string& name, const Html& table);
// Changes as rows: effect and evidence apart; and who acknowledged them, where somebody did.
[[nodiscard]] Html changes_table(const FleetView& view, const std::vector<Change>& changes, std::size_t most,
                                 const AcknowledgedOf& acknowledged, Timestamp now);
// A bar from 0 to `most`, filled up to `value`, with a mark at `line`.
[[nodiscard]] Html meter(double value, double line, double most, const std::string& words);

}  // namespace outcrop::fleet::page
