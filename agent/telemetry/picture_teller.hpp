#pragma once

#include <utility>  // before Asio

#include <memory>

#include <boost/asio/any_io_executor.hpp>

#include "agent/deploy/announcer.hpp"
#include "protocol/messages/command.hpp"
#include "protocol/messages/picture.hpp"

namespace outcrop::agent {

// Tells the host what was drawn (SCHEMA.md, "Picture"): the newest waits in memory until it is acknowledged, and is sent
// again after each connection and every five minutes, for an hour. All on the executor.
class PictureTeller {
 public:
  PictureTeller(boost::asio::any_io_executor executor, const Board& board);
  ~PictureTeller();

  // Before the first use. The session must outlive the teller's use.
  void speak_through(transport::Session& session);

  void tell(messages::Picture picture);  // whose header is filled in
  void on_connected();
  void on_acknowledged(const messages::Acknowledgement& acknowledgement);
  void stop();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::agent
