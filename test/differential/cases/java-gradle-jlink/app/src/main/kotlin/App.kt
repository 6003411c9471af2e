fun main() = println("app")
