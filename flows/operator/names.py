"""Names of the release that commands default to; imports nothing."""

FLOWS_NAMESPACE = "taxi-flows"
PLATFORM_NAMESPACE = "taxi-platform"
