#pragma once

#include <utility>  // before Asio

#include <functional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include "platform/http/server.hpp"
#include "protocol/base/clock.hpp"
#include "trainer_host/fleet/monitor/history.hpp"
#include "trainer_host/fleet/picture/pictures.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/view/fleet_view.hpp"

namespace outcrop::fleet::page {

struct PageParts {
  FleetView& view;
  Registry& registry;
  const Clock& clock;
  boost::asio::thread_pool& worker;                   // for what reads the history
  // What a person should do something about.
  std::function<boost::asio::awaitable<std::vector<std::string>>()> attention;
  monitor::History* history = nullptr;                // none: no telemetry is kept
  monitor::AuditLog* audit = nullptr;
  Pictures* pictures = nullptr;                       // none: nobody draws
};

// Who looks.
struct Reader {
  std::string name;         // "token ops"; "" where nobody asked
  bool may_operate = false;  // steer rollouts
  bool may_leave = false;    // came by a token in a cookie
};

// The pages for people: HTML that is whole without JavaScript; scripts add charts and go on by themselves. Six
// screens: /, /boards, /boards/NAME, /rollouts/NAME, /compare, /regressions; and /assets/HASH/NAME.
class Page {
 public:
  explicit Page(PageParts parts) : parts_(std::move(parts)) {}

  // Whether the path is one of a page, there or not.
  [[nodiscard]] static bool serves(const std::string& path);
  // GET only. The view is refreshed by it.
  [[nodiscard]] boost::asio::awaitable<http::Response> handle(const http::Request& request,
                                                              const Reader& reader);
  // Where a token is asked for; `problem` "" at first.
  [[nodiscard]] static http::Response login(const std::string& problem, int status);

 private:
  PageParts parts_;
};

// What every page must be sent with: no script, style or image of anybody else, no frame around it.
[[nodiscard]] http::Response as_page(std::string html, int status = 200);

}  // namespace outcrop::fleet::page
