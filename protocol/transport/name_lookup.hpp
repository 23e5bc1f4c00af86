#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "protocol/base/error.hpp"

namespace outcrop::transport {

// Addresses of IPv4 and IPv6 as numbers, "10.0.0.5" or "fd00::5", in the order in which they are
// to be tried (RFC 6724); at least one.
using Addresses = std::vector<std::string>;

// Whether this is an address already, of IPv4 or (without brackets) of IPv6: "fe80::5%eth0", too.
[[nodiscard]] bool is_address(const std::string& host);

// A link-local address holds in one network only, and a zone says in which: by the name or number of
// the interface that leads there, which is this machine's own business and stands in no certificate.
// "fe80::5" of "fe80::5%eth0"; whatever has no zone as it is.
[[nodiscard]] std::string without_zone(const std::string& host);
// The interface's number; 0 where there is no zone. not_found where no interface has that name.
[[nodiscard]] Result<std::uint32_t> zone_of(const std::string& host);

// A name is looked up by the system's resolver, which may take as long as it likes and cannot be
// interrupted: a thread waits for it, never the caller.
//
// `done` is called once, on `executor`, unless the lookup was destroyed before. not_found with the
// resolver's words. An address is its own answer.
class NameLookup {
 public:
  NameLookup(boost::asio::any_io_executor executor, const std::string& host,
             std::function<void(Result<Addresses>)> done);
  ~NameLookup();
  NameLookup(const NameLookup&) = delete;
  NameLookup& operator=(const NameLookup&) = delete;

 private:
  struct Shared;
  static bool is_asked(const std::weak_ptr<Shared>& asked);
  std::shared_ptr<Shared> shared_;
};

// For a program without a loop: waits no longer than `patience`; timeout where it does not answer.
[[nodiscard]] Result<Addresses> look_up(const std::string& host,
                                        std::chrono::milliseconds patience);

}  // namespace outcrop::transport
