#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "trainer_host/fleet/depot/blob_store.hpp"

namespace outcrop::fleet {

// Reads every blob now and then, so that a damaged one is found before a board asks for it: one
// after the other on `worker`, with a pause before each, round and round. What BlobStore::check()
// says is all that follows.
class Scrub {
 public:
  Scrub(boost::asio::any_io_executor executor, boost::asio::thread_pool& worker, BlobStore store,
        std::chrono::milliseconds pause);
  ~Scrub();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::fleet
