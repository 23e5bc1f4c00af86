#include "trainer_host/fleet/monitor/feed.hpp"

#include <algorithm>
#include <map>

#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>

namespace outcrop::fleet::monitor {
namespace {

constexpr std::size_t most_in_one = 256;  // SCHEMA.md, "Acknowledgement"
constexpr std::chrono::hours clocks_differ{1};
constexpr std::chrono::hours report_waits = std::chrono::days(30);

// A report may have waited for days on its board.
Timestamp time_of(const messages::DeviceHeader& header, Timestamp received) {
  const bool believable = header.clock_synchronised && header.time <= received + clocks_differ &&
                          header.time >= received - report_waits;
  return believable ? header.time : received;
}

}  // namespace

struct Feed::Shared {
  Acknowledge acknowledge;

  void say(const std::vector<HistoryEntry>& kept) const {
    std::map<std::pair<std::string, int>, std::vector<messages::MessageId>> by_board;
    for (const HistoryEntry& entry : kept) by_board[{entry.device, entry.protocol}].push_back(entry.id);
    for (auto& [board, ids] : by_board) {
      for (std::size_t i = 0; i < ids.size(); i += most_in_one) {
        const auto first = ids.begin() + static_cast<std::ptrdiff_t>(i);
        const auto last = ids.begin() + static_cast<std::ptrdiff_t>(std::min(i + most_in_one, ids.size()));
        acknowledge(board.first, {{first, last}, board.second});
      }
    }
  }
};

Feed::Feed(boost::asio::any_io_executor executor, const HistoryOptions& options, Acknowledge acknowledge)
    : shared_(std::make_shared<Shared>()) {
  shared_->acknowledge = std::move(acknowledge);
  auto opened = FileHistory::open(
      options, [executor, weak = std::weak_ptr(shared_)](const std::vector<HistoryEntry>& kept) {
        std::vector<HistoryEntry> ids;
        for (const HistoryEntry& entry : kept) {
          HistoryEntry id;
          id.device = entry.device;
          id.id = entry.id;
          id.protocol = entry.protocol;
          ids.push_back(std::move(id));
        }
        boost::asio::post(executor, [weak, ids = std::move(ids)] {
          if (const auto shared = weak.lock()) shared->say(ids);
        });
      });
  if (opened) {
    history_ = std::move(*opened);
  } else {
    spdlog::error("history: {}; how boards fare is not kept", opened.error().message());
  }
}

Feed::~Feed() = default;

bool Feed::on_telemetry(messages::Telemetry telemetry, Timestamp at, Timestamp received) {
  if (!history_) return false;
  HistoryEntry entry;
  entry.device = telemetry.header.device;
  entry.id = {telemetry.header.session, telemetry.header.sequence};
  entry.protocol = telemetry.header.protocol;
  entry.at = at;
  entry.received = received;
  entry.telemetry = std::move(telemetry);
  return history_->add(std::move(entry));
}

bool Feed::on_report(const messages::Report& report, Timestamp received) {
  HistoryEntry entry;
  for (const messages::ReportedVariant& variant : report.variants) {
    if (variant.measurement) entry.measured.push_back(variant);
  }
  if (!history_ || entry.measured.empty()) return false;
  entry.device = report.header.device;
  entry.id = {report.header.session, report.header.sequence};
  entry.protocol = report.header.protocol;
  entry.at = time_of(report.header, received);
  entry.received = received;
  entry.device_class = report.device_class;
  entry.release = report.deployment.manifest;
  if (!history_->add(std::move(entry))) {
    history_->count_lost();
    return false;
  }
  // The report itself is in the registry: while the history cannot write, its board does not wait for it.
  return history_->health().problem.empty();
}

void Feed::on_refused(const std::string& why) {
  if (history_) history_->count_refused(why);
}

}  // namespace outcrop::fleet::monitor
