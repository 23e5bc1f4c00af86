#pragma once

#include <utility>  // before Asio

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "protocol/transport/session.hpp"
#include "trainer_host/pki/authority.hpp"

namespace outcrop::fleet {

// Connects once under a device's name, which makes the broker end the connection that is open under
// it, and leaves again. Its certificate is made for this and deleted afterwards.
class Takeover {
 public:
  // `session`: how outcropd connects. `finished` is called once, on the executor, with success, or
  // with timeout after 30 s; not after destruction.
  [[nodiscard]] static Result<std::unique_ptr<Takeover>> begin(
      boost::asio::any_io_executor executor, const pki::Authority& authority,
      const std::filesystem::path& folder, transport::SessionOptions session,
      const std::string& device, std::function<void(Status)> finished);
  ~Takeover();

 private:
  class Impl;
  explicit Takeover(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::fleet
