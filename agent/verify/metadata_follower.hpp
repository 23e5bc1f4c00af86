#pragma once

#include <utility>  // before Asio

#include <cstdint>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>

#include "agent/verify/metadata_store.hpp"
#include "protocol/transport/session.hpp"

namespace outcrop::agent {

// Asks a broker for no more metadata than this board lacks. After each connection that is the
// timestamp, a small document, and the roots after its own; the rest only while the newest timestamp
// names what is not here, so that a fleet that comes back all at once fetches a few hundred bytes a
// board. Session and store must outlive it.
class MetadataFollower {
 public:
  MetadataFollower(transport::Session& session, const MetadataStore& store, std::string model);

  // Once for each connection, before what follows from metadata is asked for.
  [[nodiscard]] boost::asio::awaitable<Status> begin();
  // Whatever came on meta/<role>, after the store was given it.
  void on_role(std::string_view role, std::string_view envelope);

 private:
  void follow_roots();
  void subscribe_to(std::string_view role);

  transport::Session& session_;
  const MetadataStore& store_;
  std::string stage_;
  std::string newest_;              // timestamp that came; "" before the first
  std::uint64_t roots_asked_for_ = 0;  // on this connection, the highest
  bool asks_for_rest_ = false;
};

}  // namespace outcrop::agent
