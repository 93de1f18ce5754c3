plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

// ./gradlew assembleDebug -Pbundle=/path/to/bundle
val bundle: String by project
val models = layout.buildDirectory.dir("models")

val copyModels by tasks.registering(Copy::class) {
    from(bundle) {
        include("encoder.tflite", "decoder.tflite", "encoder_int8.tflite", "decoder_int8.tflite")
    }
    from("$bundle/phone") {
        include("tensors.json")
    }
    into(models)
}

android {
    namespace = "org.tfvae.sample"
    compileSdk = 36

    defaultConfig {
        applicationId = "org.tfvae.sample"
        minSdk = 24 // what LiteRT 2.3 asks for
        targetSdk = 36
        versionCode = 1
        versionName = "1.0"
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    androidResources {
        noCompress += "tflite" // so that a model can be mapped into memory from the package
    }
    sourceSets["main"].assets.srcDir(models)
}

kotlin {
    jvmToolchain(17)
}

tasks.named("preBuild") {
    dependsOn(copyModels)
}

dependencies {
    implementation("com.google.ai.edge.litert:litert:2.3.0")
    // For Accelerator.GPU: implementation("com.google.ai.edge.litert:litert-gpu:2.3.0")
}
