// The contenders that are written in Go: one program, peers/go, run as a child process for each measurement.
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "bench.hpp"
#include "run.hpp"

namespace bench {
namespace {

constexpr const char* program = TURNKEY_PEERS_DIR "/go_peer";

nlohmann::json ask(const std::string& arguments) {
  const std::string command = "exec '" + std::string(program) + "' " + arguments;
  const auto close = [](FILE* stream) { pclose(stream); };
  const std::unique_ptr<FILE, decltype(close)> answer(popen(command.c_str(), "re"), close);
  if (!answer) throw std::runtime_error("cannot run " + command);
  std::string text;
  std::array<char, 1024> piece{};
  while (std::fgets(piece.data(), piece.size(), answer.get()) != nullptr) text += piece.data();
  auto parsed = nlohmann::json::parse(text, nullptr, false);
  if (parsed.is_discarded()) throw std::runtime_error(command + " printed: " + text);
  return parsed;
}

}  // namespace

contender go_peer(const std::string& name, const std::string& workload, const std::vector<std::int64_t>& parameters) {
  contender go{name + " (Go)", side::go, nullptr};
  if (access(program, X_OK) != 0) return go;
  std::string arguments = workload;
  for (const std::int64_t parameter : parameters) arguments += " " + std::to_string(parameter);
  go.measure = [arguments] {
    const nlohmann::json line = ask(arguments);
    return sample{line.at("value"), line.at("figures").get<std::vector<double>>()};
  };
  return go;
}

std::string go_version() { return access(program, X_OK) == 0 ? ask("version").at("version").get<std::string>() : ""; }

}  // namespace bench
