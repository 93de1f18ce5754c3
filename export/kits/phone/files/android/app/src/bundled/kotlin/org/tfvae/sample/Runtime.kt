package org.tfvae.sample

import android.content.Context
import com.google.ai.edge.litert.Environment

/** LiteRT as it is packed into this app. The context is for the other flavour, which is called alike. */
fun startLiteRt(context: Context): Environment = Environment.create()
