#include "agent/deploy/drawing.hpp"

#include <algorithm>
#include <memory>

#include <spdlog/spdlog.h>

#include "agent/deploy/remeasuring.hpp"
#include "platform/spawn/spawn.hpp"

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

// Whoever interrupts does not wait for the call.
asio::awaitable<Result<Serving::Drawing>> Drawing::drawn_by(Installed release) {
  auto answer = std::make_shared<std::optional<Result<Serving::Drawing>>>();
  auto ask = [](std::shared_ptr<std::optional<Result<Serving::Drawing>>> into, Serving& serving, Installed by,
                Signal& changed) -> asio::awaitable<void> {
    *into = co_await serving.draw(std::move(by));
    changed.notify();
  };
  platform::spawn(executor_, ask(answer, parts_.serving, std::move(release), changed_));
  while (!answer->has_value() && !steps_.interrupted()) co_await changed_.wait();
  if (!answer->has_value()) co_return fail(ErrorCode::interrupted, "interrupted");
  co_return std::move(**answer);
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
    co_await changed_.wait_until(std::min(SteadyClock::now() + Remeasuring::look_for_rest, asked_->until));
    co_return;
  }
  const Installed release = *parts_.slots.serving();
  steps_.begin();
  auto drawing = co_await drawn_by(release);
  if (steps_.interrupted()) co_return;  // it draws afterwards, if the same release serves then
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
