#include "agent/deploy/drawing.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

#include "agent/deploy/remeasuring.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;

void Drawing::on_draw(const messages::Draw& draw) {
  asked_ = Asked{draw, SteadyClock::now() + draw.lasts};
  changed_.notify();
}

std::optional<std::string> Drawing::not_drawn_because() const {
  if (!parts_.config.tell_telemetry) return "its owner does not want the host to be told how it fares";
  const auto serving = parts_.slots.serving();
  if (!serving || serving->manifest != asked_->draw.manifest) return "another release serves, or none";
  if (SteadyClock::now() >= asked_->until) return "there was no rest";
  return std::nullopt;
}

asio::awaitable<void> Drawing::as_asked() {
  messages::Picture picture;
  picture.manifest = asked_->draw.manifest;
  picture.header.protocol = asked_->draw.protocol;
  if (const auto why = not_drawn_because()) {
    picture.why = *why;
    tell(std::move(picture));
    co_return;
  }
  if (parts_.serving.busy()) {
    co_await steps_.wait_for_change(std::min(SteadyClock::now() + Remeasuring::look_for_rest, asked_->until));
    co_return;
  }
  const Installed release = *parts_.slots.serving();
  // Where it is interrupted, it draws afterwards, if the same release serves then.
  auto drawing = co_await steps_.unless_interrupted(parts_.serving.draw(release));
  if (drawing) {
    picture.variant = release.variant;
    picture.drawn = runtime::draw(drawing->output, drawing->map);
  } else {
    picture.why = messages::as_reason(drawing.error().message());
  }
  tell(std::move(picture));
}

void Drawing::tell(messages::Picture picture) {
  spdlog::info("the host asked for a picture: {}", picture.drawn ? "drawn by " + picture.variant : picture.why);
  asked_.reset();
  if (parts_.tell_picture) parts_.tell_picture(std::move(picture));
}

}  // namespace outcrop::agent
