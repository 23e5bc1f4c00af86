#pragma once

#include <utility>  // before Asio

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "protocol/messages/command.hpp"
#include "protocol/messages/report.hpp"
#include "trainer_host/fleet/monitor/file_history.hpp"

namespace outcrop::fleet::monitor {

// Between what boards say and the history: what is kept is acknowledged, in lots, when it is on the disk. On the
// executor. Where the history cannot be opened all else goes on, and nothing is taken or acknowledged by it.
class Feed {
 public:
  using Acknowledge = std::function<void(const std::string& device, const messages::Acknowledgement&)>;
  Feed(boost::asio::any_io_executor executor, const HistoryOptions& options, Acknowledge acknowledge);
  ~Feed();

  // False where it cannot be taken now.
  [[nodiscard]] bool on_telemetry(messages::Telemetry telemetry, Timestamp at, Timestamp received);
  // What a report measured; true where it is acknowledged when that is kept, as far as the history is well.
  [[nodiscard]] bool on_report(const messages::Report& report, Timestamp received);
  void on_refused(const std::string& why);

  // None where it could not be opened.
  [[nodiscard]] History* history() const { return history_.get(); }

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::unique_ptr<FileHistory> history_;  // last: its thread ends first
};

}  // namespace outcrop::fleet::monitor
